"""Signing in by OpenID Connect, against a real provider: whose account opens, and when none does."""

import re
import time
from collections.abc import Iterator
from html import unescape
from urllib.parse import parse_qs, urlsplit

import pytest
import requests
from django.test import Client
from django_otp.oath import totp
from django_otp.plugins.otp_totp.models import TOTPDevice

from chatapp.accounts import deletions, identities, invitations, oidc
from chatapp.checks import check_oidc
from chatapp.models import Identity, Invitation, User
from chatapp.pages import post_limits
from chatapp.pages.oidc import SIGNED_IN_BY
from tests.factories import make_user
from tests.servers import PATIENCE_SECONDS
from tests.servers.oidc_provider import OidcProvider
from tests.servers.ports import free_port

pytestmark = pytest.mark.django_db
PASSWORD = "correct horse"
MAIL = "ann@example.org"


@pytest.fixture(scope="module")
def provider() -> Iterator[OidcProvider]:
    with OidcProvider() as running:
        yield running


@pytest.fixture(autouse=True)
def configured(provider, settings):
    settings.OIDC_ISSUER, settings.OIDC_CLIENT_ID, settings.OIDC_CLIENT_SECRET = provider.issuer, "chat", "secret"
    settings.OIDC_NAME = "Example Id"
    post_limits.of_persons.clear()
    post_limits.of_addresses.clear()


def come_back(provider: OidcProvider, client: Client, subject: str, *, query: str = "") -> object:
    """The whole way: our link, the provider's page, and the address that it sends the browser to."""
    return client.get(provider.signs_in(client.get(f"/accounts/oidc/{query}")["Location"], subject))


def signed_in(client: Client) -> User | None:
    number = client.session.get("_auth_user_id")
    return User.objects.get(pk=number) if number else None


def know(person: User, provider: OidcProvider, subject: str) -> None:
    Identity.objects.create(user=person, issuer=provider.issuer, subject=subject)


class TestTheWay:
    def test_without_a_provider_there_is_no_button_and_no_page(self, settings):
        settings.OIDC_ISSUER = ""
        client = Client()

        assert "/accounts/oidc/" not in client.get("/accounts/login/").content.decode()
        assert [client.get(f"/accounts/oidc/{path}").status_code for path in ("", "back/", "connect/")] == [404] * 3

    def test_the_button_is_a_link_because_no_form_may_lead_elsewhere(self):
        page = Client().get("/accounts/login/?next=/accounts/email/")

        assert 'href="/accounts/oidc/?next=%2Faccounts%2Femail%2F">Sign in with Example Id</a>' in page.content.decode()
        assert "form-action 'self';" in page.headers["Content-Security-Policy"] + ";"

    def test_the_provider_is_asked_with_a_state_a_nonce_and_a_challenge(self, provider):
        client = Client()

        address = client.get("/accounts/oidc/")["Location"]

        asked = parse_qs(urlsplit(address).query)
        assert address.startswith(f"{provider.issuer}/oauth2/authorize?")
        assert asked["redirect_uri"] == ["http://testserver/accounts/oidc/back/"]
        assert asked["code_challenge_method"] == ["S256"]
        assert asked["scope"] == ["openid email profile"]
        assert {"state", "nonce", "code_challenge"} <= set(asked)
        assert client.cookies["oidc"]["httponly"]
        assert client.cookies["oidc"]["samesite"] == "Lax"
        # Who only begins leaves no row.
        assert client.cookies.get("sessionid") is None

    def test_another_site_cannot_begin_it(self):
        answer = Client().get("/accounts/oidc/", headers={"Sec-Fetch-Site": "cross-site"})

        assert answer["Location"] == "/accounts/login/"

    def test_who_is_known_is_signed_in_and_comes_where_they_wanted(self, provider):
        ann = make_user("ann")
        know(ann, provider, "sub-ann")
        client = Client()

        done = come_back(provider, client, "sub-ann", query="?next=/accounts/email/")

        assert done["Location"] == "/accounts/email/"
        assert signed_in(client) == ann
        client.post("/accounts/logout/")
        assert signed_in(client) is None

    def test_nobody_is_led_to_another_site(self, provider):
        know(make_user("ann"), provider, "sub-ann")

        assert come_back(provider, Client(), "sub-ann", query="?next=https://evil.example/")["Location"] == "/"

    @pytest.mark.parametrize("change", ["no cookie", "another state", "used", "late", "another browser"])
    def test_only_the_browser_that_began_ends_it_once_and_in_time(self, provider, monkeypatch, change):
        know(make_user("ann"), provider, "sub-ann")
        client, other = Client(), Client()
        back = provider.signs_in(client.get("/accounts/oidc/")["Location"], "sub-ann")
        other.get("/accounts/oidc/")
        if change == "no cookie":
            del client.cookies["oidc"]
        elif change == "another state":
            back = back.replace("state=", "state=x")
        elif change == "used":
            client.get(back)
            client.cookies.pop("sessionid")
        elif change == "late":
            now = time.time()
            monkeypatch.setattr("django.core.signing.time.time", lambda: now + 601)
        else:
            client = other

        answer = client.get(back)

        assert answer.status_code == 400
        assert "Begin again" in answer.content.decode()
        assert signed_in(client) is None

    def test_a_code_of_another_sign_in_is_refused(self, provider):
        """Its token carries the other's nonce."""
        know(make_user("eve"), provider, "sub-eve")
        client, eve = Client(), Client()
        address = client.get("/accounts/oidc/")["Location"]
        code = parse_qs(urlsplit(provider.signs_in(eve.get("/accounts/oidc/")["Location"], "sub-eve")).query)["code"]
        state = parse_qs(urlsplit(address).query)["state"]

        answer = client.get("/accounts/oidc/back/", {"code": code[0], "state": state[0]})

        assert answer.status_code == 502
        assert signed_in(client) is None

    def test_who_declines_there_is_told_so(self, provider):
        client = Client()
        address = client.get("/accounts/oidc/")["Location"]
        state = parse_qs(urlsplit(address).query)["state"][0]

        answer = client.get("/accounts/oidc/back/", {"error": "access_denied", "state": state})

        assert answer.status_code == 403
        assert "did not sign you in" in answer.content.decode()

    def test_a_provider_that_is_away_is_told_of_and_nothing_else_breaks(self, settings):
        settings.OIDC_ISSUER = "http://127.0.0.1:9"
        client = Client()

        answer = client.get("/accounts/oidc/")

        assert answer.status_code == 502
        assert "does not answer" in answer.content.decode()
        assert client.get("/accounts/login/").status_code == 200

    def test_a_provider_that_calls_itself_otherwise_is_not_believed(self, provider, settings):
        settings.OIDC_ISSUER = provider.issuer.replace("127.0.0.1", "localhost") + "/"
        assert Client().get("/accounts/oidc/").status_code == 302

        settings.OIDC_ISSUER = provider.issuer
        oidc._client().server_metadata["issuer"] = "https://evil.example"

        assert Client().get("/accounts/oidc/").status_code == 502

    def test_coming_back_counts_as_a_form_does(self, provider, settings, monkeypatch):
        monkeypatch.setattr(post_limits.of_addresses, "capacity", 1)
        client = Client()

        answers = [client.get("/accounts/oidc/back/").status_code for _ in range(2)]

        assert answers == [400, 429]

    def test_half_a_configuration_is_an_error(self, settings):
        assert check_oidc(None) == []

        settings.OIDC_CLIENT_ID = ""

        assert [each.id for each in check_oidc(None)] == ["chatapp.E009"]


class TestWho:
    def test_nobody_new_comes_in_unless_the_operator_says_so(self, provider):
        client = Client()

        answer = come_back(provider, client, "sub-new")

        assert answer.status_code == 403
        assert "invitation" in answer.content.decode()
        assert not User.objects.exists()

    @pytest.mark.parametrize("setting", ["OPEN_REGISTRATION", "OIDC_REGISTRATION"])
    def test_who_is_new_gets_an_account_without_a_password(self, provider, settings, setting):
        setattr(settings, setting, True)
        make_user("Ann")
        provider.knows("sub-new", email=MAIL, email_verified=True, preferred_username="ann")
        client = Client()

        come_back(provider, client, "sub-new")
        come_back(provider, again := Client(), "sub-new")

        person = signed_in(client)
        assert person is not None
        assert person == signed_in(again)
        assert (person.username, person.email, person.is_staff) == ("ann-2", MAIL, False)
        assert not person.has_usable_password()

    def test_an_invitation_lets_one_person_in(self, provider):
        _, token = invitations.create(by=None)
        first, second = Client(), Client()
        page = first.get(f"/accounts/invitations/{token}/").content.decode()
        assert f"/accounts/oidc/?invitation={token}" in page

        come_back(provider, first, "sub-one", query=f"?invitation={token}")
        late = come_back(provider, second, "sub-two", query=f"?invitation={token}")

        assert signed_in(first) == Invitation.objects.get().used_by
        assert late.status_code == 403
        assert User.objects.count() == 1

    @pytest.mark.parametrize(
        ("is_verified", "rule", "is_staff", "is_taken"),
        [
            (True, "off", False, False),
            (True, "people", False, True),
            (True, "people", True, False),
            (True, "staff", True, True),
            (False, "staff", False, False),
        ],
    )
    def test_an_address_opens_an_account_only_by_the_operator_s_rule(
        self, provider, settings, is_verified, rule, is_staff, is_taken
    ):
        settings.OIDC_LINK_BY_MAIL = rule
        ann = make_user("ann", email=MAIL.upper(), is_staff=is_staff)
        provider.knows("sub-mail", email=MAIL, email_verified=is_verified)
        client = Client()

        answer = come_back(provider, client, "sub-mail")

        assert signed_in(client) == (ann if is_taken else None)
        assert answer.status_code == (302 if is_taken else 403)
        assert identities.is_connected(ann) == is_taken

    def test_who_knew_the_password_of_an_account_that_an_address_opened_is_out(self, provider, settings):
        """They may have written that address into theirs and waited."""
        settings.OIDC_LINK_BY_MAIL = "people"
        ann = make_user("ann", email=MAIL)
        eve = Client()
        eve.force_login(ann)
        provider.knows("sub-mail", email=MAIL, email_verified=True)

        come_back(provider, client := Client(), "sub-mail")

        assert client.get("/accounts/").status_code == 200
        assert eve.get("/accounts/").status_code == 302
        assert not User.objects.get().check_password(PASSWORD)

    def test_an_address_that_two_accounts_have_opens_neither(self, provider, settings):
        settings.OIDC_LINK_BY_MAIL = "staff"
        make_user("ann", email=MAIL)
        make_user("eve", email=MAIL)
        provider.knows("sub-mail", email=MAIL, email_verified=True)

        assert come_back(provider, Client(), "sub-mail").status_code == 403

    def test_a_deactivated_person_stays_out(self, provider, settings):
        settings.OPEN_REGISTRATION = True
        know(make_user("ann", is_active=False), provider, "sub-ann")

        answer = come_back(provider, client := Client(), "sub-ann")

        assert answer.status_code == 403
        assert signed_in(client) is None

    def test_who_deleted_themselves_is_forgotten_there_too(self, provider):
        ann = make_user("ann")
        know(ann, provider, "sub-ann")

        deletions.ask(ann)

        assert not Identity.objects.exists()

    def test_the_second_factor_is_asked_for_as_ever(self, provider):
        ann = make_user("ann")
        know(ann, provider, "sub-ann")
        device = TOTPDevice.objects.create(user=ann, name="app")
        client = Client()

        step = come_back(provider, client, "sub-ann", query="?next=/accounts/email/")
        assert step["Location"] == "/accounts/login/code/"
        assert signed_in(client) is None
        done = client.post("/accounts/login/code/", {"code": f"{totp(device.bin_key):06}"})

        assert done["Location"] == "/accounts/email/"
        assert signed_in(client) == ann

    def test_guesses_at_a_password_keep_nobody_out_who_comes_by_the_provider(self, provider):
        ann = make_user("ann")
        know(ann, provider, "sub-ann")
        for _ in range(5):
            paused = Client().post("/accounts/login/", {"username": "ann", "password": "x"})
        assert paused.status_code == 429

        come_back(provider, client := Client(), "sub-ann")

        assert signed_in(client) == ann


class TestConnecting:
    def test_an_account_is_connected_after_the_password_and_by_a_link(self, provider):
        ann = make_user("ann")
        client = Client()
        client.force_login(ann)

        wrong = client.post("/accounts/oidc/connect/", {"password": "x"}).content.decode()
        right = client.post("/accounts/oidc/connect/", {"password": PASSWORD}).content.decode()
        done = come_back(provider, client, "sub-ann", query="?connect")

        assert "not your password" in wrong
        assert 'href="/accounts/oidc/?connect"' in right
        assert done["Location"] == "/accounts/"
        assert Identity.objects.get().user == ann
        assert "Disconnect" in client.get("/accounts/").content.decode()

    def test_without_the_password_nothing_is_begun(self):
        client = Client()
        client.force_login(make_user("ann"))

        assert client.get("/accounts/oidc/?connect")["Location"] == "/accounts/"

    def test_it_is_for_the_person_who_began_it(self, provider):
        client = Client()
        client.force_login(make_user("ann"))
        client.post("/accounts/oidc/connect/", {"password": PASSWORD})
        back = provider.signs_in(client.get("/accounts/oidc/?connect")["Location"], "sub-ann")
        client.force_login(make_user("eve"))

        assert client.get(back).status_code == 400
        assert not Identity.objects.exists()

    def test_a_sign_in_there_belongs_to_one_account_here(self, provider):
        know(make_user("bob"), provider, "sub-bob")
        client = Client()
        client.force_login(make_user("ann"))
        client.post("/accounts/oidc/connect/", {"password": PASSWORD})

        answer = come_back(provider, client, "sub-bob", query="?connect")

        assert answer.status_code == 403
        assert "belongs to another account" in answer.content.decode()

    @pytest.mark.parametrize("has_password", [True, False])
    def test_nobody_gives_up_the_only_way_in(self, provider, has_password):
        ann = make_user("ann")
        if not has_password:
            ann.set_unusable_password()
            ann.save()
        know(ann, provider, "sub-ann")
        client = Client()
        client.force_login(ann)

        client.post("/accounts/oidc/disconnect/")

        assert identities.is_connected(ann) == (not has_password)


class TestSigningOut:
    def signed_in_there(self, provider: OidcProvider, name: str) -> Client:
        know(make_user(name), provider, f"sub-{name}")
        client = Client()
        come_back(provider, client, f"sub-{name}")
        return client

    @pytest.mark.parametrize("path", ["/accounts/logout/", "/admin/logout/"])
    def test_it_ends_here_and_leads_on_to_the_provider_which_sends_back(self, provider, settings, path):
        settings.OIDC_SIGN_OUT = True
        client = self.signed_in_there(provider, "gone")
        User.objects.update(is_staff=True)

        page = client.post(path)

        assert signed_in(client) is None
        (address,) = re.findall(r'http-equiv="refresh" content="0; url=([^"]+)"', page.content.decode())
        address = unescape(address)
        assert "no-store" in page.headers["Cache-Control"]
        asked = parse_qs(urlsplit(address).query)
        assert address.startswith(f"{provider.issuer}/oauth2/end_session?")
        assert asked["client_id"] == ["chat"]
        assert asked["post_logout_redirect_uri"] == ["http://testserver/accounts/login/"]
        # Header, claims and signature: the provider's own word.
        assert asked["id_token_hint"][0].count(".") == 2
        assert requests.get(address, timeout=PATIENCE_SECONDS).status_code == 200

    def test_unless_it_is_asked_for_nothing_is_kept_and_it_ends_here_alone(self, provider):
        client = self.signed_in_there(provider, "alone")
        assert SIGNED_IN_BY not in client.session

        assert client.post("/accounts/logout/")["Location"] == "/accounts/login/"
        assert signed_in(client) is None

    @pytest.mark.parametrize("told", [{}, {"end_session_endpoint": "javascript:alert(1)"}])
    def test_a_provider_that_offers_no_place_keeps_nobody(self, provider, settings, told):
        settings.OIDC_SIGN_OUT = True
        client = self.signed_in_there(provider, "kept")
        metadata = oidc._client().server_metadata
        before = metadata.pop("end_session_endpoint")
        metadata.update(told)
        try:
            answer = client.post("/accounts/logout/")
        finally:
            metadata["end_session_endpoint"] = before

        assert answer["Location"] == "/accounts/login/"
        assert signed_in(client) is None

    def test_nor_does_one_that_is_away(self, provider, settings):
        settings.OIDC_SIGN_OUT = True
        client = self.signed_in_there(provider, "waiting")
        settings.OIDC_ISSUER = f"http://127.0.0.1:{free_port()}"

        assert client.post("/accounts/logout/")["Location"] == "/accounts/login/"
        assert signed_in(client) is None

    def test_who_came_with_a_password_is_not_sent_there(self, settings):
        settings.OIDC_SIGN_OUT = True
        client = Client()
        client.force_login(make_user("plain"))

        assert client.post("/accounts/logout/")["Location"] == "/accounts/login/"

    def test_it_is_known_after_the_second_factor_too(self, provider, settings):
        settings.OIDC_SIGN_OUT = True
        person = make_user("careful")
        know(person, provider, "sub-careful")
        device = TOTPDevice.objects.create(user=person, name="app", confirmed=True)
        client = Client()
        come_back(provider, client, "sub-careful")
        assert signed_in(client) is None

        client.post("/accounts/login/code/", {"code": f"{totp(device.bin_key):06d}"})

        assert signed_in(client) == person
        assert "oauth2/end_session?" in client.post("/accounts/logout/").content.decode()
