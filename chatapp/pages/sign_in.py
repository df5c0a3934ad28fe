"""Signing in: the name and password, and for those who have one, the second factor, before there is a session."""

import time
from typing import Any

from django import forms
from django.conf import settings
from django.contrib.auth import HASH_SESSION_KEY, login
from django.contrib.auth.views import LoginView
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.crypto import constant_time_compare
from django.utils.decorators import method_decorator
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.cache import never_cache
from django.views.generic import FormView

from chatapp.accounts import second_factor
from chatapp.models import User

BACKEND = "django.contrib.auth.backends.ModelBackend"
"""Of those who have shown who they are without a password."""
PENDING = "signing_in"
"""In a session of nobody: who has given the right password, and has yet to show a code."""
PENDING_SECONDS = 300.0
WRONG_CODE = _("This code is not right, or too many were wrong: wait a moment, and take a new one.")


def sign_in(request: HttpRequest, user: User, *, backend: str, then: str) -> HttpResponse:
    """Signs a person in who has shown who they are, or asks for the second factor first."""
    if not second_factor.is_on(user):
        login(request, user, backend=backend)
        return HttpResponseRedirect(then)
    request.session.flush()
    request.session[PENDING] = {
        "user": user.pk,
        "backend": backend,
        "then": then,
        "at": time.time(),
        HASH_SESSION_KEY: user.get_session_auth_hash(),
    }
    return redirect("second_step")


def oidc_offer(words: str, **query: str) -> dict[str, Any]:
    """What a page needs for the button that leads to the OpenID Connect provider."""
    if not settings.OIDC_ISSUER:
        return {}
    address = reverse("oidc", query={name: value for name, value in query.items() if value})
    return {"oidc": {"address": address, "words": words % {"service": settings.OIDC_NAME}}}


class TwoStepLoginView(LoginView):
    def form_valid(self, form: Any) -> HttpResponse:
        user = form.get_user()
        return sign_in(self.request, user, backend=user.backend, then=self.get_success_url())


class SignInView(TwoStepLoginView):
    """`/accounts/login/`. The answer to a wrong name and to a wrong password is the same."""

    redirect_authenticated_user = True

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        offered = {"mail": settings.SENDS_MAIL, "registration": settings.OPEN_REGISTRATION}
        oidc = oidc_offer(gettext("Sign in with %(service)s"), next=self.get_redirect_url())
        return super().get_context_data(**kwargs) | offered | oidc


class CodeForm(forms.Form):
    """A code of the app, or a recovery code."""

    code = forms.CharField(
        label=_("Code"),
        max_length=32,
        widget=forms.TextInput(
            attrs={"class": "field__input", "autocomplete": "one-time-code", "autofocus": True, "spellcheck": "false"}
        ),
    )


@method_decorator(never_cache, name="dispatch")
class SecondStepView(FormView):  # type: ignore[type-arg]
    template_name = "registration/second_step.html"
    form_class = CodeForm

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        self.pending = request.session.get(PENDING, {})
        self.user = _user_of(self.pending)
        if self.user is None:
            request.session.pop(PENDING, None)
            return redirect("login")
        return super().dispatch(request, *args, **kwargs)

    def form_valid(self, form: CodeForm) -> HttpResponse:
        if self.user is None or not second_factor.is_right(self.user, form.cleaned_data["code"]):
            form.add_error("code", WRONG_CODE)
            return self.form_invalid(form)
        pending = self.request.session.pop(PENDING)
        login(self.request, self.user, backend=pending["backend"])
        self.request.session[second_factor.SESSION_KEY] = True
        return HttpResponseRedirect(pending["then"])


def _user_of(pending: dict[str, Any]) -> User | None:
    """Who may show a code: not for long, and not if the password has changed meanwhile."""
    if not pending or not 0 <= time.time() - pending["at"] < PENDING_SECONDS:
        return None
    user = User.objects.filter(pk=pending["user"], is_active=True).first()
    is_same = user is not None and constant_time_compare(user.get_session_auth_hash(), pending[HASH_SESSION_KEY])
    return user if is_same else None
