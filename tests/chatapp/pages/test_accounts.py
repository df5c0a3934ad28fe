"""A person's own account: sessions, password, e-mail, second factor, registration, data and the end of it."""

import io
import json
import re
import threading
import time
import zipfile
from datetime import timedelta

import pytest
from django.contrib.auth.models import Permission
from django.core import mail
from django.test import AsyncClient, Client
from django.utils import timezone
from django_otp.oath import totp
from django_otp.plugins.otp_static.models import StaticDevice
from django_otp.plugins.otp_totp.models import TOTPDevice

from chatapp.accounts import deletions, invitations, open_sessions, second_factor
from chatapp.models import Attachment, Conversation, Invitation, Message, OpenSession, SharedLink, User
from tests.factories import make_conversation, make_message, make_user
from warmcache.background.database import in_database_thread

pytestmark = pytest.mark.django_db
PASSWORD, NEW = "correct horse", "another horse, quite"
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"


@pytest.fixture
def ann(db) -> User:
    return make_user("ann", email="ann@example.org")


def browser_of(user: User, **options) -> Client:
    client = Client(**options)
    client.force_login(user)
    return client


def is_signed_in(client: Client) -> bool:
    return client.get("/accounts/").status_code == 200


def code_of(user: User) -> str:
    """What the app shows."""
    return f"{totp(TOTPDevice.objects.get(user=user).bin_key):06}"


def turn_on(user: User, client: Client) -> list[str]:
    client.get("/accounts/second-factor/")
    answer = client.post("/accounts/second-factor/", {"code": code_of(user)})
    return re.findall(r"<code>(\w+)</code>", answer.content.decode())


class TestSessions:
    def test_the_page_lists_each_browser_once_and_marks_this_one(self, ann):
        here = browser_of(ann, HTTP_USER_AGENT=FIREFOX)
        there = browser_of(ann, REMOTE_ADDR="203.0.113.5")
        there.get("/accounts/")

        here.get("/accounts/sessions/")
        page = here.get("/accounts/sessions/").content.decode()

        assert page.count("last seen") == 2
        assert "<strong>Firefox on Linux</strong> (this one)" in page
        assert "203.0.113.5" in page

    def test_one_session_ends_and_the_others_stay(self, ann):
        here, there = browser_of(ann), browser_of(ann)
        assert is_signed_in(there)
        row = OpenSession.objects.get(session_key=there.session.session_key)

        assert here.post(f"/accounts/sessions/{row.pk}/end/").status_code == 302

        assert (is_signed_in(here), is_signed_in(there)) == (True, False)

    def test_nobody_ends_another_s_session(self, ann):
        here, other = browser_of(ann), browser_of(make_user())
        assert is_signed_in(other)
        row = OpenSession.objects.get(session_key=other.session.session_key)

        assert here.post(f"/accounts/sessions/{row.pk}/end/").status_code == 404

        assert is_signed_in(other)

    def test_all_others_end_also_those_that_no_list_knows(self, ann):
        here, there = browser_of(ann), browser_of(ann)

        here.post("/accounts/sessions/end/")

        assert (is_signed_in(here), is_signed_in(there)) == (True, False)
        assert [each.session_key for each in open_sessions.of(ann)] == [here.session.session_key]

    def test_a_request_soon_after_another_writes_nothing(self, ann, django_assert_num_queries):
        here = browser_of(ann)
        here.get("/accounts/email/")

        with django_assert_num_queries(2):  # the session and its person
            here.get("/accounts/email/")

    def test_rows_of_ended_sessions_are_swept(self, ann):
        here, there = browser_of(ann), browser_of(ann)
        assert is_signed_in(here)
        assert is_signed_in(there)
        there.session.flush()

        open_sessions.sweep()

        assert OpenSession.objects.count() == 1


class TestPassword:
    def test_a_new_one_ends_every_other_session(self, ann):
        here, there = browser_of(ann), browser_of(ann)

        wrong = here.post("/accounts/password/", {"old_password": "x", "new_password1": NEW, "new_password2": NEW})
        right = here.post("/accounts/password/", {"old_password": PASSWORD, "new_password1": NEW, "new_password2": NEW})

        assert (wrong.status_code, right.status_code) == (200, 302)
        assert (is_signed_in(here), is_signed_in(there)) == (True, False)

    def test_without_a_mail_server_nobody_is_offered_a_mail(self):
        assert "Forgotten" not in Client().get("/accounts/login/").content.decode()
        assert Client().get("/accounts/forgotten/").status_code == 404

    def test_a_forgotten_one_is_replaced_by_a_link_in_a_mail_that_works_once(self, ann, settings):
        settings.SENDS_MAIL = True
        there, stranger = browser_of(ann), Client()
        assert "Forgotten" in stranger.get("/accounts/login/").content.decode()

        known = stranger.post("/accounts/forgotten/", {"email": "ann@example.org"})
        unknown = stranger.post("/accounts/forgotten/", {"email": "bob@example.org"})

        assert (known.status_code, known["Location"]) == (unknown.status_code, unknown["Location"])
        for thread in [each for each in threading.enumerate() if each.name == "mail"]:
            thread.join()
        (sent,) = mail.outbox
        link = re.search(r"http://testserver(\S+)", sent.body)
        assert link
        form = stranger.get(link[1])["Location"]
        assert stranger.post(form, {"new_password1": NEW, "new_password2": NEW}).status_code == 302
        assert not is_signed_in(there)
        assert not is_signed_in(stranger)
        ann.refresh_from_db()
        assert ann.check_password(NEW)
        assert "cannot be used" in Client().get(link[1]).content.decode()

    def test_a_new_e_mail_address_asks_for_the_password(self, ann):
        here = browser_of(ann)

        here.post("/accounts/email/", {"email": "eve@example.org", "password": "x"})
        ann.refresh_from_db()
        assert ann.email == "ann@example.org"
        here.post("/accounts/email/", {"email": "new@example.org", "password": PASSWORD})
        ann.refresh_from_db()

        assert ann.email == "new@example.org"


class TestRegistration:
    FIELDS = {"username": "bob", "email": "", "password1": NEW, "password2": NEW}  # noqa: RUF012

    def test_nobody_registers_unless_the_operator_says_so(self, settings):
        assert Client().get("/accounts/register/").status_code == 404
        assert "Create an account" not in Client().get("/accounts/login/").content.decode()

        settings.OPEN_REGISTRATION = True
        client = Client()
        assert client.post("/accounts/register/", self.FIELDS).status_code == 302

        assert is_signed_in(client)
        assert not User.objects.get(username="bob").is_staff

    def test_an_invitation_lets_one_person_in_once(self, ann):
        _, token = invitations.create(by=ann)
        path = f"/accounts/invitations/{token}/"
        assert Client().get(path).status_code == 200

        bad = Client().post(path, self.FIELDS | {"password2": "typo"})
        good = Client().post(path, self.FIELDS)
        again = Client().post(path, self.FIELDS | {"username": "eve"})

        assert (bad.status_code, good.status_code, again.status_code) == (200, 302, 410)
        assert Invitation.objects.get().used_by == User.objects.get(username="bob")
        assert not User.objects.filter(username="eve").exists()

    def test_of_two_who_accept_at_once_one_is_refused(self, ann):
        _, token = invitations.create(by=ann)
        first, second = (User(username=name) for name in ("bob", "eve"))

        accepted = [invitations.accept(token, person, now=timezone.now()) for person in (first, second)]

        assert accepted == [True, False]
        assert not User.objects.filter(username="eve").exists()

    def test_an_invitation_expires_and_an_unknown_one_says_the_same(self, ann):
        invitation, token = invitations.create(by=ann)
        Invitation.objects.filter(pk=invitation.pk).update(expires_at=timezone.now() - timedelta(seconds=1))

        answers = [Client().get(f"/accounts/invitations/{each}/") for each in (token, "unknown")]

        assert [answer.status_code for answer in answers] == [410, 410]

    def test_staff_make_one_in_the_admin_and_see_its_link_once(self):
        root = browser_of(make_user("root", is_staff=True, is_superuser=True))

        page = root.post("/admin/chatapp/invitation/add/", {"note": "Bob"}, follow=True).content.decode()
        again = root.get("/admin/chatapp/invitation/").content.decode()

        link = re.search(r"http://testserver(/accounts/invitations/[\w-]+/)", page)
        assert link
        assert Client().get(link[1]).status_code == 200
        assert "/accounts/invitations/" not in again
        assert Invitation.objects.count() == 1


class TestSecondFactor:
    def test_it_is_asked_for_before_there_is_a_session(self, ann):
        here, there = browser_of(ann), browser_of(ann)
        codes = turn_on(ann, here)
        client = Client()

        step = client.post("/accounts/login/", {"username": "ann", "password": PASSWORD, "next": "/accounts/email/"})
        assert (step.status_code, step["Location"]) == (302, "/accounts/login/code/")
        assert not is_signed_in(client)
        assert client.post("/accounts/login/code/", {"code": "000000"}).status_code == 200
        assert not is_signed_in(client)

        for kind in (StaticDevice, TOTPDevice):
            kind.objects.update(throttling_failure_count=0, throttling_failure_timestamp=None)
        done = client.post("/accounts/login/code/", {"code": codes[0]})

        assert (done.status_code, done["Location"]) == (302, "/accounts/email/")
        assert is_signed_in(client)
        assert (len(codes), is_signed_in(here), is_signed_in(there)) == (10, True, False)

    def test_a_code_works_once(self, ann):
        codes = turn_on(ann, browser_of(ann))

        assert [second_factor.is_right(ann, codes[0]) for _ in range(2)] == [True, False]

    def test_wrong_codes_make_the_right_one_wait(self, ann):
        codes = turn_on(ann, browser_of(ann))
        for _ in range(5):
            second_factor.is_right(ann, "000000")

        assert not second_factor.is_right(ann, codes[0])

    @pytest.mark.parametrize("change", ["password", "time", "deactivated"])
    def test_the_step_ends_when_its_reason_does(self, ann, monkeypatch, change):
        turn_on(ann, browser_of(ann))
        client = Client()
        client.post("/accounts/login/", {"username": "ann", "password": PASSWORD})
        if change == "time":
            now = time.time()
            monkeypatch.setattr("chatapp.pages.sign_in.time.time", lambda: now + 301)
        elif change == "password":
            ann.set_password(NEW)
            ann.save()
        else:
            User.objects.update(is_active=False)

        answer = client.get("/accounts/login/code/")

        assert (answer.status_code, answer["Location"]) == (302, "/accounts/login/")

    def test_the_admin_s_own_form_asks_for_it_too(self):
        root = make_user("root", is_staff=True, is_superuser=True)
        turn_on(root, browser_of(root))
        client = Client()

        step = client.post("/admin/login/?next=/admin/", {"username": "root", "password": PASSWORD})

        assert (step.status_code, step["Location"]) == (302, "/accounts/login/code/")
        assert client.get("/admin/").status_code == 302

    def test_where_staff_need_one_the_admin_opens_to_nobody_without(self, settings):
        settings.STAFF_SECOND_FACTOR = True
        root = make_user("root", is_staff=True, is_superuser=True)
        client = browser_of(root)

        refused = client.get("/admin/", follow=True)
        metrics = client.get("/metrics")
        assert refused.redirect_chain[-1][0] == "/accounts/second-factor/"
        assert "Staff need one" in refused.content.decode()
        turn_on(root, client)

        assert metrics.status_code == 401
        assert client.get("/admin/").status_code == 200

    def test_it_is_turned_off_with_a_code(self, ann):
        client = browser_of(ann)
        codes = turn_on(ann, client)

        client.post("/accounts/second-factor/", {"code": codes[1]})

        assert not second_factor.is_on(ann)

    @pytest.mark.parametrize(
        ("asker_is_superuser", "owner_is_superuser", "is_taken"),
        [(False, False, True), (False, True, False), (True, True, True)],
    )
    def test_staff_take_a_lost_one_away_but_only_a_superuser_that_of_another(
        self, ann, asker_is_superuser, owner_is_superuser, is_taken
    ):
        turn_on(ann, browser_of(ann))
        User.objects.filter(pk=ann.pk).update(is_superuser=owner_is_superuser)
        asker = make_user("asker", is_staff=True, is_superuser=asker_is_superuser)
        asker.user_permissions.set(Permission.objects.filter(codename__in=("view_user", "change_user")))
        fields = {"action": "take_second_factor_away", "_selected_action": [ann.pk]}

        told = browser_of(asker).post("/admin/chatapp/user/", fields, follow=True).content.decode()

        assert second_factor.is_on(ann) == (not is_taken)
        assert ("only another one may do that" in told) == (not is_taken)

    def test_who_may_only_look_takes_nothing_away(self, ann):
        turn_on(ann, browser_of(ann))
        asker = make_user("asker", is_staff=True)
        asker.user_permissions.set(Permission.objects.filter(codename="view_user"))
        fields = {"action": "take_second_factor_away", "_selected_action": [ann.pk]}

        browser_of(asker).post("/admin/chatapp/user/", fields)

        assert second_factor.is_on(ann)


class TestOwnData:
    @pytest.mark.django_db(transaction=True)
    async def test_the_archive_holds_everything_of_one_s_own_and_nothing_else(self):
        def begin() -> User:
            ann = make_user("ann", email="ann@example.org", instructions="Be brief.")
            for owner, title in ((ann, "Ships: a/b"), (make_user(), "Foreign")):
                make_message(make_conversation(owner, title=title), f"A question about {title}", sender=owner)
                Attachment.objects.create(user=owner, name=f"../{title}.txt", text=title, size_bytes=4)
            said = Message.objects.get(conversation__user=ann)
            ends = timezone.now() + timedelta(days=1)
            SharedLink.objects.create(conversation=said.conversation, tip=said, token_hash="secret", expires_at=ends)
            make_conversation(ann, title="Gone", deleted_at=timezone.now())
            return ann

        ann = await in_database_thread(begin)
        client = AsyncClient()
        await client.aforce_login(ann)

        answer = await client.post("/accounts/export/")
        data = b"".join([part async for part in answer.streaming_content])

        archive = zipfile.ZipFile(io.BytesIO(data))
        names = archive.namelist()
        assert archive.testzip() is None
        assert answer.headers["Content-Disposition"] == 'attachment; filename="warmcache.zip"'
        assert [name.partition("/")[0] for name in names] == ["README.txt", "account.json", "conversations", "files"]
        assert not [name for name in names if ".." in name or name.startswith("/")]
        account = json.loads(archive.read("account.json"))
        assert (account["email"], account["standing_instructions"]) == ("ann@example.org", "Be brief.")
        assert [sorted(link) for link in account["shared_links"]] == [["expires_at", "shared_at", "title"]]
        assert json.loads(archive.read(names[2]))["messages"][0]["text"] == "A question about Ships: a/b"
        assert archive.read(names[3]) == b"Ships: a/b"

    def test_deleting_oneself_asks_for_the_password_and_ends_every_session(self, ann):
        make_conversation(ann)
        here, there = browser_of(ann), browser_of(ann)

        assert here.post("/accounts/delete/", {"password": "x"}).status_code == 200
        assert User.objects.get(pk=ann.pk).is_active
        page = here.post("/accounts/delete/", {"password": PASSWORD}).content.decode()

        assert "is deleted" in page
        assert (is_signed_in(here), is_signed_in(there)) == (False, False)
        assert deletions.asked() == [ann.pk]
        while not deletions.delete_some(ann.pk).is_done:
            pass
        assert not Conversation.objects.exists()

    def test_the_only_superuser_stays(self):
        root = make_user("root", is_staff=True, is_superuser=True)

        page = browser_of(root).post("/accounts/delete/", {"password": PASSWORD}).content.decode()

        assert "only superuser" in page
        assert User.objects.get(pk=root.pk).is_active

    def test_guessing_the_password_of_a_found_session_is_paused(self, ann):
        here = browser_of(ann)

        answers = [here.post("/accounts/delete/", {"password": "x"}).status_code for _ in range(5)]

        assert answers == [200] * 4 + [429]
        assert here.post("/accounts/delete/", {"password": PASSWORD}).status_code == 429

    def test_the_page_tells_limits_and_how_long_chats_are_kept(self, ann, settings):
        settings.USAGE_LIMITS = settings.DEFAULT_LIMITS
        settings.KEEP_CHATS_DAYS = 30

        page = browser_of(ann).get("/accounts/").content.decode()

        assert "deleted 30 days after their last message" in page
        assert "Dollars a month</th><td>100.00</td><td>100.00</td>" in page
