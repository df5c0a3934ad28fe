"""The forms of a person's own account."""

import threading
from typing import Any, cast

from django import forms
from django.contrib.auth import authenticate
from django.contrib.auth.forms import PasswordChangeForm, PasswordResetForm, SetPasswordForm, UserCreationForm
from django.http import HttpRequest
from django.utils.formats import number_format
from django.utils.translation import get_language, gettext, override
from django.utils.translation import gettext_lazy as _

from chatapp.conversations.standing_instructions import MAX_CHARS
from chatapp.models import User


class Styled:
    """Gives every field the class of the chat's own forms."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for field in self.fields.values():  # type: ignore[attr-defined]
            field.widget.attrs.setdefault("class", "field__input")


class RegistrationForm(Styled, UserCreationForm):  # type: ignore[type-arg]
    email = forms.EmailField(
        label=_("E-mail address"),
        required=False,
        help_text=_("For a new password, if you forget yours. You may leave it out."),
    )

    class Meta:
        model = User
        fields = ("username", "email")


class NewPasswordForm(Styled, PasswordChangeForm):
    """The old password is asked for."""


class ForgottenPasswordForm(Styled, SetPasswordForm):  # type: ignore[type-arg]
    """Behind the link of a mail."""


class AskForMailForm(Styled, PasswordResetForm):
    """Mails are sent beside the answer, which takes as long for an address that nobody has."""

    email = forms.EmailField(
        label=_("E-mail address"), max_length=254, widget=forms.EmailInput(attrs={"autocomplete": "email"})
    )

    def send_mail(self, *args: Any, **kwargs: Any) -> None:
        send, language = super().send_mail, get_language()

        def sent_in_the_language_of_the_page() -> None:
            with override(language):
                send(*args, **kwargs)

        threading.Thread(target=sent_in_the_language_of_the_page, name="mail", daemon=True).start()


class PasswordForm(Styled, forms.Form):
    """Asks for the password before something that matters. A wrong one counts as a failed sign-in, so that nobody
    guesses on in a session that they took. Who has none, because another service signs them in, needs none."""

    password = forms.CharField(
        label=_("Password"),
        required=False,
        strip=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "current-password"}),
    )

    def __init__(self, request: HttpRequest, **options: Any) -> None:
        self.request = request
        super().__init__(request.POST or None, **options)
        if not cast(User, request.user).has_usable_password():
            del self.fields["password"]

    def clean_password(self) -> str:
        password: str = self.cleaned_data["password"]
        if authenticate(self.request, username=self.request.user.get_username(), password=password) is None:
            raise forms.ValidationError(gettext("This is not your password, or too many wrong ones were tried."))
        return password


class EmailForm(PasswordForm):
    email = forms.EmailField(label=_("E-mail address"), required=False, max_length=254)
    field_order = ("email", "password")


class LinesField(forms.CharField):
    """Counts the end of a line as the browser does, which sends two characters for it."""

    def to_python(self, value: Any) -> str | None:
        return super().to_python(value.replace("\r\n", "\n") if isinstance(value, str) else value)


class InstructionsForm(Styled, forms.Form):
    instructions = LinesField(
        label=_("For every conversation"),
        required=False,
        max_length=MAX_CHARS,
        widget=forms.Textarea(attrs={"rows": 10, "dir": "auto"}),
    )

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        told = gettext(
            "At most %(count)s characters. For example: what you do, in which language you want answers, "
            "how long they should be."
        )
        self.fields["instructions"].help_text = told % {"count": number_format(MAX_CHARS, force_grouping=True)}


class DeletionForm(PasswordForm):
    def clean(self) -> None:
        person = cast(User, self.request.user)
        others = User.objects.filter(is_superuser=True, is_active=True).exclude(pk=person.pk)
        if person.is_superuser and not others.exists():
            raise forms.ValidationError(
                gettext("You are the only superuser: nobody could look after this site any more.")
            )


class SetUpCodeForm(Styled, forms.Form):
    code = forms.CharField(
        label=_("The six digits that the app shows"),
        max_length=12,
        widget=forms.TextInput(attrs={"inputmode": "numeric", "autocomplete": "one-time-code"}),
    )
