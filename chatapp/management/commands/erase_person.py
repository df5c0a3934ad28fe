"""`manage.py erase_person NAME`: erases all of one person now, as a deletion in the admin does in the background."""

import argparse
from collections.abc import Sequence
from typing import Any

from asgiref.sync import async_to_sync
from django.core.management.base import BaseCommand, CommandError

from chatapp import events
from chatapp.accounts import deletions
from chatapp.models import Erasure, User
from chatapp.process import housekeeping
from chatapp.replies import registry
from warmcache import services as warmcache


class Command(BaseCommand):
    """Stopped half-way, it is finished by the next server's housekeeping."""

    help = "Erase a person's chats, files, sign-ins and name, also in the ledger, whose sums stay."

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("username")

    def handle(self, **options: Any) -> None:
        """Tells what is gone and not whose: what is printed may be kept in a log."""
        person = User.objects.filter(username=options["username"], deletion_asked_at=None).first()
        if person is None:
            raise CommandError("There is no person with this name.")
        user_id = person.pk
        deletions.ask(person)
        steps = [deletions.delete_some(user_id)]
        while not steps[-1].is_done:
            steps.append(deletions.delete_some(user_id))
        async_to_sync(_tell)(user_id, steps)
        done = Erasure.objects.get(person=user_id)
        if done.finished_at is None:
            self.stdout.write("Another process erases the rest of it now.")
            return
        self.stdout.write(
            f"Erased user {user_id}: {done.conversations:,} conversations, {done.files:,} unsent files; "
            f"{done.ledger_rows:,} rows of the ledger no longer say for whom they were."
        )


async def _tell(user_id: int, steps: Sequence[deletions.Deleted]) -> None:
    """Without Redis a running server hears nothing of it, and drops what it has in memory at its next sweep."""
    for step in steps:
        await housekeeping.tell_of_deletion(user_id, step)
    await registry.close()
    await warmcache.close()
    await events.close()
