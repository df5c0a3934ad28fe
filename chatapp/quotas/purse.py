"""The purse from which warmcache pays warm-ups: the same money, of the same people, as their replies."""

import re
from decimal import Decimal

from django.db import transaction

from chatapp.quotas import charges
from chatapp.quotas.charges import Reservation

SUBJECT = re.compile(r"user (\d+)\Z")
"""How the chat names a person to warmcache."""


class Purse:
    """See `warmcache.core.ports.Purse`."""

    def reserve(self, subject: str, usd: Decimal) -> Reservation | None:
        person = SUBJECT.match(subject)
        with transaction.atomic():
            reserved = charges.reserve(int(person[1]) if person else None, usd)
            if reserved is None:
                transaction.set_rollback(True)
        return reserved

    def settle(self, reserved: Reservation, billed_usd: Decimal | None) -> None:
        charges.settle(reserved, billed_usd)
