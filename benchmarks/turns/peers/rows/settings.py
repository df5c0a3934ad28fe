import os

SECRET_KEY = "a tutorial"  # noqa: S105
ALLOWED_HOSTS = ["*"]
INSTALLED_APPS = ["channels", "rows"]
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": os.environ["DATABASE_PATH"]}}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True
