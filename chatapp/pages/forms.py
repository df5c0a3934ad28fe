"""What people send as plain HTTP forms."""

from django import forms

from chatapp.models import Conversation


class RenameForm(forms.Form):
    """A conversation's new title; blank space around it is dropped."""

    title = forms.CharField(max_length=Conversation._meta.get_field("title").max_length, strip=True)
