"""Shared links in the admin: whose they are and until when, and taken back, without a word of what they show."""

from datetime import timedelta

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Group, Permission
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from chatapp.accounts.roles import make_roles
from chatapp.conversations import shared_links
from chatapp.models import Conversation, SharedLink, User
from tests.factories import make_conversation, make_talk, make_user

pytestmark = pytest.mark.django_db

LIST = reverse("admin:chatapp_sharedlink_changelist")


@pytest.fixture
def shared() -> tuple[SharedLink, str]:
    ann = make_user("ann")
    conversation = make_conversation(ann, title="Canary of a title")
    make_talk(conversation, ["Canary?", "Canary."])
    return shared_links.create(ann, Conversation.objects.get(), days=7)


def signed_in(user: User) -> Client:
    browser = Client()
    browser.force_login(user)
    return browser


def change(link: SharedLink) -> str:
    return reverse("admin:chatapp_sharedlink_change", args=[link.pk])


def revoke(browser: Client, link: SharedLink) -> int:
    return browser.post(LIST, {"action": "revoke", "_selected_action": [link.pk]}, follow=True).status_code


def test_pages_name_the_person_and_neither_title_nor_token(shared):
    link, token = shared
    browser = signed_in(make_user("root", is_staff=True, is_superuser=True))

    for path in (LIST, change(link), f"{LIST}?q=ann", f"{LIST}?state=open"):
        page = browser.get(path).content.decode()
        assert ">ann<" in page
        assert "Canary" not in page
        assert link.token_hash not in page
        assert token not in page
    assert ">ann<" not in browser.get(f"{LIST}?state=over").content.decode()


def test_a_link_that_is_revoked_is_over_and_that_is_logged_by_its_number(shared):
    link, token = shared
    operator = make_user("operator", is_staff=True)
    make_roles()
    operator.groups.set(Group.objects.filter(name="Operator"))

    assert revoke(signed_in(operator), link) == 200

    assert shared_links.read(token) is None
    [entry] = LogEntry.objects.all()
    assert (entry.user, entry.object_id, entry.object_repr) == (operator, str(link.pk), f"shared link {link.pk}")
    assert Conversation.objects.filter(deleted_at=None).exists()


def test_who_may_only_view_revokes_nothing(shared):
    link, token = shared
    viewer = make_user("viewer", is_staff=True)
    viewer.user_permissions.set(Permission.objects.filter(codename="view_sharedlink"))

    revoke(signed_in(viewer), link)

    assert shared_links.read(token) is not None


def test_a_link_whose_time_is_over_is_listed_as_such(shared):
    SharedLink.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    browser = signed_in(make_user("root", is_staff=True, is_superuser=True))

    assert ">ann<" in browser.get(f"{LIST}?state=over").content.decode()
