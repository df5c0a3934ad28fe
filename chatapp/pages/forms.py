"""Plain HTTP forms."""

from django import forms

from chatapp.conversations.shared_links import DAYS
from chatapp.models import Conversation


class RenameForm(forms.Form):
    """A conversation's new title; surrounding white space is removed."""

    title = forms.CharField(max_length=Conversation._meta.get_field("title").max_length, strip=True)


class ShareForm(forms.Form):
    """For how many days a link works."""

    days = forms.TypedChoiceField(choices=[(str(days), days) for days in DAYS], coerce=int)


class AssistantForm(forms.Form):
    """Which assistant."""

    assistant_id = forms.IntegerField(min_value=1, max_value=2**63 - 1)
