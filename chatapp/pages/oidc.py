"""Signing in by the OpenID Connect provider: the way there, the way back, and connecting an account with it.

The way there is a link, not a form: `form-action` of the page's policy forbids that a form leads to another site. It
goes on only for a page of ours, or an address that somebody typed.
"""

import logging
import time
from collections.abc import Callable
from dataclasses import asdict
from functools import wraps
from typing import Any, cast

from django.conf import settings
from django.contrib.auth.decorators import login_required
from django.contrib.auth.views import LogoutView
from django.core import signing
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import redirect, render, resolve_url
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_POST

from chatapp.accounts import identities, oidc
from chatapp.accounts.oidc import Journey, Refusal, RefusedError
from chatapp.models import User
from chatapp.pages.account_forms import PasswordForm
from chatapp.pages.accounts import form_page
from chatapp.pages.sign_in import BACKEND, sign_in

logger = logging.getLogger(__name__)

COOKIE = "__Host-oidc" if settings.HTTPS else "oidc"
SALT = "chatapp.pages.oidc"
JOURNEY_SECONDS = 600
MAY_CONNECT = "oidc_connect"
"""In the session of somebody who has just given the password: when that was."""
MAY_CONNECT_SECONDS = 300.0
SIGNED_IN_BY = "oidc_signed_in_by"
"""In the session of whom the provider has signed in, if it is to sign them out, too."""
OWN_PAGES = ("", "same-origin", "none")
"""What a browser says of a link of ours, of an address that was typed, and, if it is old, of everything."""
STATUS = {Refusal.NOT_BEGUN: 400, Refusal.TROUBLE: 502}
View = Callable[..., HttpResponse]


def _where_there_is_one(view: View) -> View:
    @wraps(view)
    def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        if not oidc.is_on():
            raise Http404
        return view(request, *args, **kwargs)

    return guarded


@never_cache
@_where_there_is_one
@require_GET
def begin(request: HttpRequest) -> HttpResponse:
    """To the provider: to sign in, to accept an invitation, or to connect the account of who is signed in."""
    if request.headers.get("Sec-Fetch-Site", "") not in OWN_PAGES:
        return redirect("login")
    connects = _may_connect(request)
    if request.user.is_authenticated and connects is None:
        return redirect("account" if "connect" in request.GET else "home")
    try:
        address, journey = oidc.begin(
            _back(request), then=_then(request), invitation=request.GET.get("invitation", ""), connects=connects
        )
    except RefusedError as refused:
        return _refused(request, refused)
    response = HttpResponseRedirect(address)
    carried = signing.dumps(asdict(journey), salt=SALT, compress=True)
    response.set_cookie(COOKIE, carried, max_age=JOURNEY_SECONDS, secure=settings.HTTPS, httponly=True, samesite="Lax")
    return response


@never_cache
@_where_there_is_one
@require_GET
def back(request: HttpRequest) -> HttpResponse:
    """From the provider. Once: the cookie goes, whatever comes of it."""
    response = _arrived(request)
    response.delete_cookie(COOKIE, samesite="Lax")
    return response


def _arrived(request: HttpRequest) -> HttpResponse:
    journey = _carried(request)
    try:
        claims = oidc.end(_back(request), journey, request.GET.dict())
        assert journey is not None  # noqa: S101  `end` has refused that
        if journey.connects is not None:
            if request.user.pk != journey.connects:
                raise RefusedError(Refusal.NOT_BEGUN)
            identities.connect(request.user, claims)
            return redirect("account")
        person = identities.person_of(claims, invitation=journey.invitation)
    except RefusedError as refused:
        return _refused(request, refused)
    response = sign_in(request, person, backend=BACKEND, then=journey.then)
    if settings.OIDC_SIGN_OUT:
        request.session[SIGNED_IN_BY] = claims.id_token
    return response


class SignOutView(LogoutView):
    """Ends the session here, and then the one at the provider that it came from, where that is wanted.

    By a page that goes on by itself, and not by a redirect: that would be the form's, which leads nowhere else.
    """

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        id_token = request.session.get(SIGNED_IN_BY, "")
        response = super().post(request, *args, **kwargs)
        if not id_token or not settings.OIDC_SIGN_OUT or not oidc.is_on():
            return response
        address = oidc.sign_out_address(id_token, request.build_absolute_uri(reverse("login")))
        context = {"address": address, "name": settings.OIDC_NAME}
        return render(request, "registration/signed_out.html", context) if address else response


@form_page
@_where_there_is_one
@login_required
def connect(request: HttpRequest) -> HttpResponse:
    """Asks for the password: whoever found an open browser must not make a way in of their own."""
    if identities.is_connected(cast(User, request.user)):
        return redirect("account")
    form = PasswordForm(request)
    if form.is_valid():
        request.session[MAY_CONNECT] = time.time()
        return render(request, "account/connect.html", {"name": settings.OIDC_NAME})
    context = {
        "form": form,
        "title": gettext("Connect with %(service)s") % {"service": settings.OIDC_NAME},
        "button": gettext("Go on"),
        "told": gettext("From then on you can sign in there, too."),
    }
    return render(request, "account/form.html", context)


@_where_there_is_one
@login_required
@require_POST
def disconnect(request: HttpRequest) -> HttpResponse:
    identities.disconnect(cast(User, request.user))
    return redirect("account")


def _may_connect(request: HttpRequest) -> int | None:
    """The person who may connect an account in this session, once."""
    if "connect" not in request.GET or not request.user.is_authenticated:
        return None
    asked_at = request.session.pop(MAY_CONNECT, 0.0)
    return request.user.pk if 0 <= time.time() - asked_at < MAY_CONNECT_SECONDS else None


def _back(request: HttpRequest) -> str:
    return request.build_absolute_uri(reverse("oidc_back"))


def _then(request: HttpRequest) -> str:
    """Where the person wanted to go, if that is here."""
    wanted = request.GET.get("next", "")
    is_here = url_has_allowed_host_and_scheme(wanted, {request.get_host()}, require_https=request.is_secure())
    return wanted if is_here else resolve_url(settings.LOGIN_REDIRECT_URL)


def _carried(request: HttpRequest) -> Journey | None:
    try:
        return Journey(**signing.loads(request.COOKIES.get(COOKIE, ""), salt=SALT, max_age=JOURNEY_SECONDS))
    except (signing.BadSignature, TypeError):
        return None


def _refused(request: HttpRequest, refused: RefusedError) -> HttpResponse:
    logger.warning("A sign-in by OpenID Connect was refused: %s.", refused.why.name.lower(), exc_info=refused.__cause__)
    context = {"words": refused.why.words, "name": settings.OIDC_NAME}
    return render(request, "registration/oidc_refused.html", context, status=STATUS.get(refused.why, 403))
