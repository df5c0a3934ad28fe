"""The pages of a person's own account."""

from collections.abc import Callable
from typing import Any, cast

from asgiref.sync import async_to_sync
from django import forms
from django.conf import settings
from django.contrib.auth import login, logout, update_session_auth_hash
from django.contrib.auth.decorators import login_required
from django.contrib.auth.views import (
    PasswordChangeView,
    PasswordResetConfirmView,
    PasswordResetDoneView,
    PasswordResetView,
)
from django.http import Http404, HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse_lazy
from django.utils import timezone
from django.utils.http import content_disposition_header
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from chatapp import events
from chatapp.accounts import deletions, devices, identities, invitations, open_sessions, second_factor
from chatapp.conversations import own_data, shared_links, standing_instructions
from chatapp.models import User
from chatapp.pages.account_forms import (
    AskForMailForm,
    DeletionForm,
    EmailForm,
    ForgottenPasswordForm,
    InstructionsForm,
    NewPasswordForm,
    RegistrationForm,
    SetUpCodeForm,
)
from chatapp.pages.session_notes import told_by
from chatapp.pages.sign_in import BACKEND, WRONG_CODE, oidc_offer
from chatapp.quotas import charges
from chatapp.replies.tools import consents
from chatapp.warming import assistant_edits

Page = Callable[..., HttpResponse]


def form_page(view: Page) -> Page:
    """A page with a form that asks for secrets."""
    return sensitive_post_parameters()(never_cache(require_http_methods(["GET", "POST"])(view)))


@never_cache
@login_required
@require_GET
def account(request: HttpRequest) -> HttpResponse:
    """Everything about an account, with the ways to change it."""
    user = signed_in(request)
    context = {
        "has_second_factor": second_factor.is_on(user),
        "keep_days": settings.KEEP_CHATS_DAYS,
        "limits": charges.what_is_left(user.pk),
        "links": shared_links.of(user),
        "consents": consents.given_by(user),
        "oidc_name": settings.OIDC_NAME if settings.OIDC_ISSUER else "",
        "is_connected": identities.is_connected(user),
    }
    return render(request, "account/account.html", context)


@login_required
@require_POST
def withdraw_consent(request: HttpRequest, consent_id: int) -> HttpResponse:
    """From now on the person is asked again before the tool is called."""
    if not consents.withdraw(signed_in(request), consent_id):
        raise Http404
    return redirect("account")


@form_page
@login_required
def change_email(request: HttpRequest) -> HttpResponse:
    user = signed_in(request)
    form = EmailForm(request, initial={"email": user.email})
    if form.is_valid():
        user.email = form.cleaned_data["email"]
        user.save(update_fields=["email"])
        return redirect("account")
    return _form(request, form, gettext("Your e-mail address"), gettext("Save"))


@never_cache
@login_required
@require_http_methods(["GET", "POST"])
def change_instructions(request: HttpRequest) -> HttpResponse:
    """What the person wants in each conversation."""
    user = signed_in(request)
    form = InstructionsForm(request.POST or None, initial={"instructions": user.instructions})
    if request.method == "POST" and form.is_valid():
        if standing_instructions.change(user, form.cleaned_data["instructions"]):
            # At once in this process, whose sockets may ask before they hear of it.
            assistant_edits.add_one()
            async_to_sync(events.announce_instructions)(user.pk)
        return redirect("account")
    return _form(
        request,
        form,
        gettext("Standing instructions"),
        gettext("Save"),
        told=gettext(
            "Every assistant gets them at the beginning of each conversation of yours. No shared link shows them. "
            "After a change, the next message in each conversation reads everything anew."
        ),
    )


@never_cache
@login_required
@require_GET
def sessions(request: HttpRequest) -> HttpResponse:
    """Where the person is signed in."""
    user, key = signed_in(request), request.session.session_key or ""
    open_sessions.write(user, key, **told_by(request))
    listed = open_sessions.of(user)
    for each in listed:
        each.device = devices.told(each.device)
    return render(request, "account/sessions.html", {"sessions": listed, "own_key": key})


@login_required
@require_POST
def end_session(request: HttpRequest, number: int) -> HttpResponse:
    if not open_sessions.end(signed_in(request), number):
        raise Http404
    return redirect("sessions")


@login_required
@require_POST
def end_sessions(request: HttpRequest) -> HttpResponse:
    """Ends all sessions but this one, with their sockets."""
    user = signed_in(request)
    open_sessions.end_all(user)
    update_session_auth_hash(request, user)
    return redirect("sessions")


@login_required
@require_POST
async def export(request: HttpRequest) -> StreamingHttpResponse:
    """All of a person's conversations and files, as a ZIP archive that is made while it is sent."""
    user = cast(User, await request.auser())
    response = StreamingHttpResponse(own_data.archive_of(user), content_type="application/zip")
    response.headers["Content-Disposition"] = content_disposition_header(True, "warmcache.zip") or ""
    return response


@form_page
@login_required
def delete(request: HttpRequest) -> HttpResponse:
    """Deletes the person with everything of theirs."""
    user = signed_in(request)
    form = DeletionForm(request)
    if form.is_valid():
        deletions.ask(user)
        logout(request)
        return render(request, "account/deleted.html")
    return _form(
        request,
        form,
        gettext("Delete your account"),
        gettext("Delete everything"),
        told=gettext(
            "Your conversations, files and sessions are deleted. This cannot be undone; you may want to download your "
            "data first."
        ),
        is_danger=True,
    )


@form_page
def register(request: HttpRequest) -> HttpResponse:
    """Where the operator lets everybody register."""
    if not settings.OPEN_REGISTRATION:
        raise Http404
    return _register(request, None)


@form_page
def invitation(request: HttpRequest, token: str) -> HttpResponse:
    """The link of an invitation: looking at it uses nothing up."""
    if not invitations.is_open(token, now=timezone.now()):
        return render(request, "registration/invitation_over.html", status=410)
    return _register(request, token)


def _register(request: HttpRequest, token: str | None) -> HttpResponse:
    if request.user.is_authenticated:
        return redirect("home")
    form = RegistrationForm(request.POST or None)
    if form.is_valid():
        person = form.save(commit=False)
        if token is None:
            person.save()
        elif not invitations.accept(token, person, now=timezone.now()):
            return render(request, "registration/invitation_over.html", status=410)
        login(request, person, backend=BACKEND)
        return redirect("home")
    offer = oidc_offer(gettext("Register with %(service)s"), invitation=token or "")
    return _form(request, form, gettext("Create your account"), gettext("Create account"), **offer)


@form_page
@login_required
def set_up_second_factor(request: HttpRequest) -> HttpResponse:
    """Turns the second factor on, after a code of the app; and off, after a code too."""
    user = signed_in(request)
    form = SetUpCodeForm(request.POST or None)
    is_on = second_factor.is_on(user)
    if form.is_valid():
        code = form.cleaned_data["code"]
        if is_on and second_factor.is_right(user, code):
            second_factor.remove(user)
            request.session.pop(second_factor.SESSION_KEY, None)
            return redirect("account")
        codes = None if is_on else second_factor.confirm(user, code)
        if codes:
            # Whoever knew the password alone is out.
            open_sessions.end_all(user)
            update_session_auth_hash(request, user)
            request.session[second_factor.SESSION_KEY] = True
            return render(request, "account/recovery_codes.html", {"codes": codes})
        form.add_error("code", WRONG_CODE)
    context: dict[str, Any] = {"form": form, "is_on": is_on, "is_required": second_factor.is_missing(request)}
    if not is_on:
        device = second_factor.begin(user)
        context |= {"secret": second_factor.secret_of(device), "picture": second_factor.picture_of(device)}
    return render(request, "account/second_factor.html", context)


class ChangePasswordView(PasswordChangeView):
    """Ends every other session, as each of them holds a hash of the password."""

    form_class = NewPasswordForm
    template_name = "account/form.html"
    success_url = reverse_lazy("account")
    extra_context = {  # noqa: RUF012
        "title": _("A new password"),
        "button": _("Save"),
        "told": _("Every other session of yours ends."),
    }


class _OnlyWithMail:
    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        if not settings.SENDS_MAIL:
            raise Http404
        return super().dispatch(request, *args, **kwargs)  # type: ignore[misc]


class ForgottenPasswordView(_OnlyWithMail, PasswordResetView):
    """The answer is the same whether or not somebody has the address."""

    form_class = AskForMailForm
    template_name = "account/form.html"
    email_template_name = "registration/password_mail.txt"
    subject_template_name = "registration/password_mail_subject.txt"
    extra_context = {"title": _("Forgotten your password?"), "button": _("Send me a link")}  # noqa: RUF012


class MailSentView(_OnlyWithMail, PasswordResetDoneView):
    template_name = "registration/mail_sent.html"


class FromMailView(_OnlyWithMail, PasswordResetConfirmView):
    form_class = ForgottenPasswordForm
    template_name = "registration/from_mail.html"
    success_url = reverse_lazy("login")


def signed_in(request: HttpRequest) -> User:
    return cast(User, request.user)


def _form(request: HttpRequest, form: forms.BaseForm, title: str, button: str, **more: Any) -> HttpResponse:
    return render(request, "account/form.html", {"form": form, "title": title, "button": button, **more})
