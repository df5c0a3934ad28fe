"""What people of the staff may do, as groups: the one table of permissions by role. Superusers may do everything.

None but superusers read what people wrote: transcripts are the rows of `UNREAD`, which no role may view.
"""

from collections.abc import Iterable, Mapping

from django.contrib.auth.models import Group, Permission
from django.db import transaction
from django.db.models import Q

LEDGER = ("warmup", "usagerecord", "skipcount", "lostwrites", "learnedevidence")
QUOTAS = ("limitmet", "usageaccount")
UNREAD = ("message", "attachment", "queuedmessage", "searchentry", "summary")


def _may(action: str, *models: str, app: str) -> tuple[str, ...]:
    return tuple(f"{app}.{action}_{model}" for model in models)


ROLES: Mapping[str, tuple[str, ...]] = {
    "Operator": (
        *_may("view", *LEDGER, "warmpolicy", app="warmcache"),
        *_may("change", "warmpolicy", app="warmcache"),
        *_may("view", *QUOTAS, "usagelimit", "assistant", "erasure", "sharedlink", "mcpserver", app="chatapp"),
        *_may("add", "usagelimit", "mcpserver", app="chatapp"),
        *_may("change", "usagelimit", "mcpserver", app="chatapp"),
        *_may("delete", "usagelimit", "sharedlink", "mcpserver", app="chatapp"),
    ),
    "Assistant editor": tuple(
        f"chatapp.{action}_{model}"
        for model in ("assistant", "document")
        for action in ("view", "add", "change", "delete")
    ),
    "Support": (
        *_may("view", *LEDGER, "warmpolicy", app="warmcache"),
        *_may("view", *QUOTAS, "usagelimit", "assistant", "user", "conversation", "sharedlink", app="chatapp"),
    ),
}
"""Role -> permissions. Support sees that a conversation exists and whose it is, not what is said in it, and
changes nothing; operators take back what was shared by mistake."""


def make_roles() -> list[str]:
    """Makes the groups, and gives each exactly its permissions; members stay. Returns their names."""
    with transaction.atomic():
        for name, wanted in ROLES.items():
            group, _ = Group.objects.get_or_create(name=name)
            group.permissions.set(_permissions(wanted))
    return list(ROLES)


def _permissions(wanted: Iterable[str]) -> list[Permission]:
    """Raises `LookupError` for one that does not exist: a role must not lack it silently."""
    words = set(wanted)
    any_of = Q()
    for word in words:
        app, _, codename = word.partition(".")
        any_of |= Q(content_type__app_label=app, codename=codename)
    found = list(Permission.objects.filter(any_of).select_related("content_type"))
    missing = words - {f"{each.content_type.app_label}.{each.codename}" for each in found}
    if missing:
        raise LookupError(f"There is no permission {', '.join(sorted(missing))}: run `migrate` first.")
    return found
