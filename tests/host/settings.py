"""The smallest foreign project: one app, one database, no chat and no Channels."""

import os

SECRET_KEY = "host"
INSTALLED_APPS = ["warmcache"]
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": os.environ.get("HOST_DATABASE", ":memory:"),
        "OPTIONS": {"timeout": 20, "transaction_mode": "IMMEDIATE"},  # several processes write
    }
}
USE_TZ = True
WARMCACHE = {
    "UPSTREAM": "simulator",
    "BASE_URL": os.environ.get("ANTHROPIC_BASE_URL"),
    "API_KEY": os.environ.get("ANTHROPIC_API_KEY", ""),
    "LEARNS": False,  # from a simulator that answers at once: that nothing is worth warming
}
