"""Roles: groups with exactly the permissions of the table, and none that reads what people wrote."""

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Group, Permission
from django.core.management import call_command
from django.urls import reverse

from chatapp.accounts.roles import ROLES, UNREAD, make_roles
from chatapp.models import User
from tests.factories import make_conversation, make_message, make_user

pytestmark = pytest.mark.django_db


def in_role(name: str) -> User:
    make_roles()
    person = make_user(is_staff=True)
    person.groups.add(Group.objects.get(name=name))
    return person


def test_the_command_gives_back_exactly_the_permissions_and_keeps_members():
    person = in_role("Support")
    group = Group.objects.get(name="Support")
    group.permissions.set(Permission.objects.filter(codename="delete_message"))

    call_command("make_roles", verbosity=0)

    assert User.objects.get(pk=person.pk).get_all_permissions() == set(ROLES["Support"])
    assert list(group.user_set.all()) == [person]
    assert Group.objects.count() == len(ROLES)


@pytest.mark.parametrize("role", ROLES)
def test_no_role_reads_what_people_wrote(client, role):
    client.force_login(in_role(role))
    conversation = make_conversation(title="a secret title")
    message = make_message(conversation, "a secret")

    pages = [
        client.get(reverse("admin:chatapp_message_changelist")),
        client.get(reverse("admin:chatapp_message_change", args=[message.pk])),
        client.get(reverse("admin:chatapp_conversation_change", args=[conversation.pk])),
        client.get(reverse("admin:chatapp_conversation_changelist")),
    ]

    assert not any("secret" in page.content.decode() for page in pages)
    assert [page.status_code for page in pages[:2]] == [403, 403]
    assert not {word.split("_")[-1] for word in ROLES[role]} & set(UNREAD)


def test_support_changes_nothing():
    assert {word.split(".")[1].split("_")[0] for word in ROLES["Support"]} == {"view"}


def test_who_opens_a_message_is_logged_without_its_text(client):
    root = make_user("root", is_staff=True, is_superuser=True)
    client.force_login(root)
    message = make_message(make_conversation(), "a secret")

    client.get(reverse("admin:chatapp_message_change", args=[message.pk]))

    entry = LogEntry.objects.get()
    assert (entry.user, entry.object_id, entry.change_message) == (root, str(message.pk), "Read.")
    assert "secret" not in entry.object_repr
