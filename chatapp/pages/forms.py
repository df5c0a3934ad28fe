"""Plain HTTP forms."""

from django import forms

from chatapp.models import Conversation


class RenameForm(forms.Form):
    """A conversation's new title; surrounding white space is removed."""

    title = forms.CharField(max_length=Conversation._meta.get_field("title").max_length, strip=True)
