"""Staff who may change people: they help, and get no further than their own rights."""

import pytest
from django.contrib.auth.models import Group, Permission
from django.test import Client
from django.urls import reverse

from chatapp.accounts import deletions
from chatapp.models import User
from tests.factories import make_user

pytestmark = pytest.mark.django_db
NEW = "another horse, quite"


@pytest.fixture
def helper(db) -> User:
    helper = make_user("helper", is_staff=True)
    helper.user_permissions.set(Permission.objects.filter(codename__in=("view_user", "change_user", "delete_user")))
    return helper


@pytest.fixture
def browser(helper) -> Client:
    client = Client()
    client.force_login(helper)
    return client


def change(client: Client, person: User, **fields: object) -> int:
    path = reverse("admin:chatapp_user_change", args=[person.pk])
    kept = {"username": person.username, "date_joined_0": "2026-01-01", "date_joined_1": "00:00", "is_active": "on"}
    return client.post(path, {**kept, **fields}).status_code


def test_they_change_a_person_and_give_nobody_rights(browser, helper):
    group = Group.objects.create(name="Operators")
    rights = {"is_superuser": "on", "groups": [group.pk], "user_permissions": [Permission.objects.first().pk]}

    for person in (make_user("ann"), helper):
        assert change(browser, person, email="new@example.org", is_staff="on", **rights) == 302
        before = set(person.user_permissions.all())
        person.refresh_from_db()

        assert person.email == "new@example.org"
        assert (person.is_superuser, person.groups.count()) == (False, 0)
        assert set(person.user_permissions.all()) == before


def test_a_superuser_is_beyond_them(browser):
    root = make_user("root", is_staff=True, is_superuser=True)
    password = {"password1": NEW, "password2": NEW}
    bulk = {"action": "delete_selected", "_selected_action": [root.pk], "post": "yes"}

    answers = [
        change(browser, root, email="new@example.org"),
        browser.post(reverse("admin:auth_user_password_change", args=[root.pk]), password).status_code,
        browser.post(reverse("admin:chatapp_user_delete", args=[root.pk]), {"post": "yes"}).status_code,
        browser.post(reverse("admin:chatapp_user_changelist"), bulk).status_code,
    ]

    assert answers == [403, 403, 403, 403]
    root.refresh_from_db()
    assert (root.email, root.is_active, root.check_password("correct horse")) == ("", True, True)
    assert deletions.asked() == []


def test_a_superuser_gives_rights(helper):
    client = Client()
    client.force_login(make_user("root", is_staff=True, is_superuser=True))

    assert change(client, helper, is_superuser="on", is_staff="on") == 302

    helper.refresh_from_db()
    assert helper.is_superuser
