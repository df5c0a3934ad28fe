"""Tells every process that a person's sessions may have ended, after the commit: their sockets look for themselves."""

from functools import partial
from typing import Any

from asgiref.sync import async_to_sync
from django.db import transaction
from django.db.models.signals import post_delete, post_save

from chatapp import events
from chatapp.models import User

DECISIVE = {"password", "is_active"}
"""The columns of a user that end sessions."""


def announce(user_id: int) -> None:
    transaction.on_commit(partial(async_to_sync(events.announce_sign_out), user_id))


def watch() -> None:
    """Called once, when the app is ready."""
    post_save.connect(_saved, sender=User, dispatch_uid="session_ends")
    post_delete.connect(_deleted, sender=User, dispatch_uid="session_ends")


def _saved(instance: User, created: bool, update_fields: frozenset[str] | None, **kwargs: Any) -> None:
    if not created and (update_fields is None or DECISIVE & set(update_fields)):
        announce(instance.pk)


def _deleted(instance: User, **kwargs: Any) -> None:
    announce(instance.pk)
