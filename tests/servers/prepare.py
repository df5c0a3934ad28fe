"""Prepares a database, as a process of its own.

python -m tests.servers.prepare migrate
python -m tests.servers.prepare seed NAME ...    fills a migrated one, with signed-in users; prints JSON
"""

import json
import os
import sys
from collections.abc import Sequence

import django


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "chatapp.settings")
    django.setup()
    from django.core.management import call_command
    from django.db import connections

    what, *names = sys.argv[1:]
    if what == "migrate":
        call_command("migrate", interactive=False, verbosity=0)
    else:
        json.dump(seed(names), sys.stdout)
    # When the last connection to SQLite closes, the whole database is in one file.
    connections.close_all()


def seed(names: Sequence[str]) -> dict[str, object]:
    from chatapp.demo import seeding
    from chatapp.models import Assistant

    seeding.seed()
    users = {name: make_user(name) for name in names}
    return {"users": users, "assistants": dict(Assistant.objects.values_list("slug", "pk"))}


def make_user(username: str) -> dict[str, object]:
    """Creates a user; returns its id, password and session cookie."""
    from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
    from django.contrib.sessions.backends.db import SessionStore

    from chatapp.models import User

    password = f"password of {username}"
    is_root = username == "root"
    user = User.objects.create_user(username, password=password, is_staff=is_root, is_superuser=is_root)
    session = SessionStore()
    session[SESSION_KEY] = str(user.pk)
    session[BACKEND_SESSION_KEY] = "django.contrib.auth.backends.ModelBackend"
    session[HASH_SESSION_KEY] = user.get_session_auth_hash()
    session.create()
    return {"id": user.pk, "username": username, "password": password, "session_key": session.session_key}


if __name__ == "__main__":
    main()
