import os
from pathlib import Path

BASE_DIR = Path(__file__).parents[1]
SECRET_KEY = os.environ.get("SECRET_KEY", "only for this example")
ALLOWED_HOSTS = ["127.0.0.1"]
ROOT_URLCONF = "helpdesk.urls"
INSTALLED_APPS = ["warmcache"]
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": os.environ.get("HELPDESK_DATABASE", BASE_DIR / "db.sqlite3"),
        "OPTIONS": {"timeout": 20, "transaction_mode": "IMMEDIATE"},
    }
}
USE_TZ = True

WARMCACHE = {
    "API_KEY": os.environ.get("ANTHROPIC_API_KEY", ""),
    "BASE_URL": os.environ.get("ANTHROPIC_BASE_URL"),
    "REDIS_URL": os.environ.get("REDIS_URL", ""),
}
