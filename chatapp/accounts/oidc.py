"""The OpenID Connect provider: where a browser is sent, and whom it says that the browser belongs to. By Authlib, which
finds the provider's addresses and keys and checks what it signs.

What a browser carries while it is away is signed, and in a cookie of its own: whoever begins and never comes back
leaves no row behind, and only the browser that began can end it.
"""

import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from functools import lru_cache
from typing import Any
from urllib.parse import urlencode, urlsplit

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.utils.crypto import constant_time_compare
from django.utils.translation import gettext, gettext_noop

logger = logging.getLogger(__name__)

METADATA_SECONDS = 3600.0
"""So long the provider's addresses are believed; its keys are read anew also when one is unknown."""
TIMEOUT_SECONDS = 10
MAX_SUBJECT_CHARS = 255
MAX_ADDRESS_CHARS = 254
SCOPE = "openid email profile"
ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA", "Ed25519")
"""With a public key of the provider's: nothing that a client's secret, or nobody, signs."""


class Refusal(Enum):
    """Why somebody is not signed in, with the words for the page."""

    NOT_BEGUN = gettext_noop(
        "This sign-in was not begun in this browser, or it took longer than ten minutes. Begin again."
    )
    DECLINED = gettext_noop("The other service did not sign you in.")
    TROUBLE = gettext_noop(
        "The other service does not answer, or answers what cannot be trusted. Try again in a moment."
    )
    NO_ACCOUNT = gettext_noop("Nobody here is known by this sign-in. Ask whoever runs this chat for an invitation.")
    ADDRESS_IS_TAKEN = gettext_noop(
        "Somebody here has your mail address already. If it is you, sign in with your password, and connect the two "
        "under “Your account”."
    )
    DEACTIVATED = gettext_noop("This account is not active.")
    OF_ANOTHER = gettext_noop("This sign-in belongs to another account here.")
    HAS_ONE = gettext_noop("Your account is connected with another sign-in there. Disconnect that one first.")

    @property
    def words(self) -> str:
        return gettext(self.value)


class RefusedError(Exception):
    def __init__(self, why: Refusal) -> None:
        super().__init__(why.name)
        self.why = why


@dataclass(frozen=True, slots=True, kw_only=True)
class Claims:
    """What the provider says of a person. `email` is empty unless the provider has verified it."""

    issuer: str
    subject: str
    email: str
    name: str
    id_token: str = field(default="", repr=False)
    """As the provider signed it: with it, it knows later whom to sign out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Journey:
    """What a browser carries to the provider and back."""

    state: str
    nonce: str
    verifier: str
    then: str
    invitation: str
    connects: int | None
    """The person who connects an account, instead of signing in."""


def is_on() -> bool:
    return bool(settings.OIDC_ISSUER)


def begin(back: str, *, then: str, invitation: str, connects: int | None) -> tuple[str, Journey]:
    """The address at the provider, and what to carry. `back` is our own address, which the provider has to know."""
    try:
        begun = _client().create_authorization_url(back)
    except Exception as error:
        raise RefusedError(Refusal.TROUBLE) from error
    journey = Journey(
        state=begun["state"],
        nonce=begun["nonce"],
        verifier=begun["code_verifier"],
        then=then,
        invitation=invitation,
        connects=connects,
    )
    return begun["url"], journey


def end(back: str, journey: Journey | None, told: Mapping[str, str]) -> Claims:
    """Whom the provider has signed in. Raises `RefusedError`; `told` is what the browser brings back."""
    if journey is None or not constant_time_compare(journey.state, told.get("state", "")):
        raise RefusedError(Refusal.NOT_BEGUN)
    if "code" not in told:
        raise RefusedError(Refusal.DECLINED)
    try:
        return _claims(back, journey, told["code"])
    except Exception as error:
        # The network, a certificate, a signature, a claim: whatever it is, nobody is signed in.
        raise RefusedError(Refusal.TROUBLE) from error


def _claims(back: str, journey: Journey, code: str) -> Claims:
    client = _client()
    token = client.fetch_access_token(redirect_uri=back, code=code, code_verifier=journey.verifier)
    wanted = {"iss": {"essential": True, "value": client.server_metadata["issuer"]}, "aud": {"value": client.client_id}}
    signed = client.parse_id_token(token, nonce=journey.nonce, claims_options=wanted)
    if not signed:
        raise ValueError("no ID token")
    claims: dict[str, Any] = dict(signed)
    if "email" not in claims and client.load_server_metadata().get("userinfo_endpoint"):
        more = client.userinfo(token=token)
        if more.get("sub") != claims["sub"]:
            raise ValueError("two different people")
        claims = {**more, **claims}
    email, subject = str(claims.get("email") or ""), str(claims["sub"])
    if not 0 < len(subject) <= MAX_SUBJECT_CHARS or "\0" in subject:
        raise ValueError("a subject as the standard forbids it")
    return Claims(
        issuer=settings.OIDC_ISSUER,
        subject=subject,
        email=email if claims.get("email_verified") in (True, "true") and _is_address(email) else "",
        name=str(claims.get("preferred_username") or email.partition("@")[0] or claims.get("name") or ""),
        id_token=str(token["id_token"]),
    )


def sign_out_address(id_token: str, then: str) -> str:
    """Where the provider signs out whom it signed in with this token, and sends the browser to `then`, which it has to
    know (RP-initiated logout 1.0). Empty if it offers no such place, or does not answer: who signs out is not kept."""
    try:
        place = str(_client().load_server_metadata().get("end_session_endpoint") or "")
    except Exception:
        logger.warning("The provider cannot be asked where it signs people out", exc_info=True)
        return ""
    if urlsplit(place).scheme not in ("http", "https"):
        return ""
    asked = {"id_token_hint": id_token, "client_id": settings.OIDC_CLIENT_ID, "post_logout_redirect_uri": then}
    return f"{place}{'&' if '?' in place else '?'}{urlencode(asked)}"


def _is_address(email: str) -> bool:
    try:
        validate_email(email)
    except ValidationError:
        return False
    return len(email) <= MAX_ADDRESS_CHARS


def _client() -> Any:
    """One per configuration and hour. Raises where the provider calls itself by another name than the operator does."""
    configured = (settings.OIDC_ISSUER, settings.OIDC_CLIENT_ID, settings.OIDC_CLIENT_SECRET)
    client = _made(*configured, int(time.monotonic() / METADATA_SECONDS))
    told = client.load_server_metadata()
    if told.get("issuer", "").rstrip("/") != settings.OIDC_ISSUER.rstrip("/"):
        _made.cache_clear()
        raise ValueError("the provider names another issuer")
    # A provider may say that it also signs with `none`.
    told["id_token_signing_alg_values_supported"] = [
        each for each in told.get("id_token_signing_alg_values_supported", ["RS256"]) if each in ALGORITHMS
    ]
    return client


@lru_cache(maxsize=1)
def _made(issuer: str, client_id: str, client_secret: str, hour: int) -> Any:
    # Not before somebody needs it: the server starts sooner.
    from authlib.integrations.django_client import OAuth

    return OAuth().register(
        name="oidc",
        client_id=client_id,
        client_secret=client_secret,
        server_metadata_url=f"{issuer.rstrip('/')}/.well-known/openid-configuration",
        client_kwargs={
            "scope": SCOPE,
            "code_challenge_method": "S256",
            "default_timeout": TIMEOUT_SECONDS,
        },
    )
