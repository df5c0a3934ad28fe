"""The admin's site: signs in as the chat does, with the second factor, and leaves out what others would register."""

import functools
from collections.abc import Callable, Iterable
from typing import Any, TypeVar, cast

from django.contrib.admin import AdminSite
from django.contrib.admin.forms import AdminAuthenticationForm
from django.contrib.auth import REDIRECT_FIELD_NAME
from django.db.models import Model
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import reverse

from chatapp.accounts import second_factor
from chatapp.pages.oidc import SignOutView
from chatapp.pages.sign_in import TwoStepLoginView
from warmcache.addresses import without_nul

View = TypeVar("View", bound=Callable[..., HttpResponseBase])

HIDDEN_APPS = ("otp_totp", "otp_static")
"""They hold secrets. A lost second factor is taken away in the list of users."""


class ChatAdminSite(AdminSite):
    def register(self, model_or_iterable: Any, admin_class: Any = None, **options: Any) -> None:
        models: Iterable[type[Model]] = (
            model_or_iterable if isinstance(model_or_iterable, Iterable) else [model_or_iterable]
        )
        shown = [model for model in models if model._meta.app_label not in HIDDEN_APPS]
        super().register(shown, admin_class, **options)

    def admin_view(self, view: View, cacheable: bool = False) -> View:
        """PostgreSQL refuses a NUL in what a list is asked for, whoever registered the list."""
        guarded = super().admin_view(view, cacheable)

        @functools.wraps(guarded)
        def cleaned(request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
            request.GET = without_nul(request.GET)  # type: ignore[assignment]
            return guarded(request, *args, **kwargs)

        return cast(View, cleaned)

    def has_permission(self, request: HttpRequest) -> bool:
        return super().has_permission(request) and not second_factor.is_missing(request)

    def login(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        if super().has_permission(request):
            # Who is here although the admin is open to them has followed a link, or has yet to set a second factor up.
            return redirect("second_factor" if second_factor.is_missing(request) else "admin:index")
        index = reverse("admin:index", current_app=self.name)
        context = {
            **self.each_context(request),
            "title": "Log in",
            "subtitle": None,
            "app_path": request.get_full_path(),
            "username": request.user.get_username(),
            REDIRECT_FIELD_NAME: request.GET.get(REDIRECT_FIELD_NAME, index),
            **(extra_context or {}),
        }
        request.current_app = self.name
        view = TwoStepLoginView.as_view(
            extra_context=context,
            authentication_form=AdminAuthenticationForm,
            template_name=self.login_template or "admin/login.html",
            next_page=index,
        )
        return cast(HttpResponse, view(request))

    def logout(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> TemplateResponse:
        """As the chat's own button does."""
        return cast(TemplateResponse, SignOutView.as_view()(request))
