"""Mails to `ADMINS` when a condition of `deploy/alerts.yaml` holds: for sites that no Prometheus watches.

Every process looks, and one row per condition decides who writes: at most one mail an hour for each condition, over all
processes. A mail that could not be sent is tried again at the next look. While the database is away nobody is told;
once it is back, the rows that were lost say so.
"""

import asyncio
import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.core.mail import send_mail
from django.db.models import Q

from chatapp.models import AlertState
from warmcache.background.database import in_database_thread
from warmcache.core.moments import at
from warmcache.reports.conditions import Condition, holding

logger = logging.getLogger(__name__)

PAUSE = timedelta(hours=1)
GONE = timedelta(minutes=5)
"""A condition that nobody has seen for so long begins anew: one process may see what another does not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mail:
    """Claimed by this process."""

    condition: Condition
    figures: str
    since: datetime
    before: datetime | None
    """When the last one was sent."""


def is_wanted() -> bool:
    return bool(settings.ADMINS and settings.SENDS_MAIL)


async def look() -> None:
    """Sends what is due. A mail server may take its time: no thread of the database waits for it."""
    for mail in await in_database_thread(due, time.time()):
        try:
            await asyncio.to_thread(send, mail)
        except OSError as error:  # `SMTPException` is one
            logger.warning("No mail about %s could be sent: %s", mail.condition.name, error)
            await in_database_thread(give_back, mail)


def due(now: float) -> Sequence[Mail]:
    """The mails that this process is to send. Called in a database thread."""
    mails = (_noted(condition, figures, at(now)) for condition, figures in holding(now))
    return [mail for mail in mails if mail is not None]


def _noted(condition: Condition, figures: str, now: datetime) -> Mail | None:
    AlertState.objects.get_or_create(name=condition.name, defaults={"since": now, "seen_at": now})
    row = AlertState.objects.filter(name=condition.name)
    row.filter(seen_at__lt=now - GONE).update(since=now)
    row.update(seen_at=now)
    state = row.get()
    may_be_told = Q(mailed_at=None) | Q(mailed_at__lte=now - PAUSE)
    is_claimed = row.filter(may_be_told, since__lte=now - condition.lasts).update(mailed_at=now)
    if not is_claimed:
        return None
    return Mail(condition=condition, figures=figures, since=state.since, before=state.mailed_at)


def give_back(mail: Mail) -> None:
    """Called in a database thread, where a mail was claimed and could not be sent."""
    AlertState.objects.filter(name=mail.condition.name).update(mailed_at=mail.before)


def send(mail: Mail) -> None:
    """Names nobody and quotes nothing: a mail leaves the site."""
    site = settings.CSRF_TRUSTED_ORIGINS[0] if settings.CSRF_TRUSTED_ORIGINS else ""
    lines = (
        mail.condition.words,
        mail.figures,
        mail.condition.advice,
        f"It has been so since {mail.since:%Y-%m-%d %H:%M} UTC. While it is, you are told once an hour at most.",
        f"{site}/{settings.ADMIN_PATH}/warmcache/dashboard/" if site else "",
    )
    text = "\n\n".join(filter(None, lines)) + "\n"
    send_mail(f"{settings.EMAIL_SUBJECT_PREFIX}{mail.condition.words}", text, settings.SERVER_EMAIL, settings.ADMINS)
