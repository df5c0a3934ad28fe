"""Migrates, seeds and makes signed-in users; prints JSON. `chat_server` runs it as a process of its own."""

import json
import os
import sys

import django


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "chatapp.settings")
    django.setup()
    from django.core.management import call_command
    from django.db import connections

    from chatapp.demo import seeding
    from chatapp.models import Assistant

    call_command("migrate", interactive=False, verbosity=0)
    seeding.seed()
    users = {name: make_user(name) for name in sys.argv[1:]}
    assistants = dict(Assistant.objects.values_list("slug", "pk"))
    # When the last connection to SQLite closes, the whole database is in one file.
    connections.close_all()
    json.dump({"users": users, "assistants": assistants}, sys.stdout)


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
