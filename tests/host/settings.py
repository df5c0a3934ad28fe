"""The smallest foreign project: one app, one database, no chat and no Channels."""

import os

SECRET_KEY = "host"
INSTALLED_APPS = ["warmcache"]
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": os.environ.get("HOST_DATABASE", ":memory:")}}
USE_TZ = True
WARMCACHE = {"UPSTREAM": "simulator"}
