"""Configuration, from the environment; defaults let a fresh clone run with nothing configured."""

import contextlib
import logging
import os
import secrets
import sys
import tempfile
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import django
import environ
from csp.constants import NONCE, NONE, SELF
from django.core.exceptions import ImproperlyConfigured

from chatapp.environment import (
    bool_from_env,
    hosts_from_env,
    issuer_from_env,
    mail_addresses_from_env,
    mailer_from_env,
    networks_from_env,
    number_from_env,
    origins_from_env,
    path_from_env,
    redis_url_from_env,
    url_from_env,
    word_from_env,
)

BASE_DIR = Path(__file__).resolve().parent.parent
VAR_DIR = BASE_DIR / "var"
COMMAND = sys.argv[1] if len(sys.argv) > 1 else ""
env = environ.Env()


def var_dir() -> Path:
    """The git-ignored folder for what this installation creates: database and key. Nobody else may look into it."""
    try:
        VAR_DIR.mkdir(mode=0o700, exist_ok=True)
        keep_private(VAR_DIR, 0o700)
    except OSError as error:
        raise ImproperlyConfigured(
            f"The folder {VAR_DIR} cannot be made ({error.strerror}). Make {BASE_DIR} writable, "
            "or set both SECRET_KEY and DATABASE_URL."
        ) from None
    return VAR_DIR


def keep_private(path: Path, mode: int) -> None:
    """Takes from others what a former release or an umask gave them; does nothing to a path that is not ours."""
    if path.stat().st_mode & 0o077:
        with contextlib.suppress(PermissionError):
            path.chmod(mode)


def local_database() -> Path:
    """SQLite's file. It is made here, because SQLite would let everybody read it; its companions copy its mode."""
    path = var_dir() / ("local-model.sqlite3" if "--local-model" in sys.argv else "db.sqlite3")
    with contextlib.suppress(OSError):  # a file that cannot be used is told of when the database is opened
        path.touch(mode=0o600)
        for file in (path, *path.parent.glob(f"{path.name}-*")):
            keep_private(file, 0o600)
    return path


def local_secret_key() -> str:
    """A key that is created once in a git-ignored file. `serve` refuses it for a server that others can reach."""
    path = var_dir() / "secret_key"
    try:
        if not path.exists():
            # Written to another file and linked into place: if two processes start at once, one complete key wins.
            with tempfile.NamedTemporaryFile("w", dir=path.parent, prefix="secret_key.") as file:
                file.write(secrets.token_urlsafe(50))
                file.flush()
                os.link(file.name, path)
    except FileExistsError:
        pass
    except OSError as error:
        raise ImproperlyConfigured(
            f"The file {path} cannot be written ({error.strerror}). Make its folder writable, or set SECRET_KEY."
        ) from None
    try:
        key = path.read_text().strip()
    except OSError as error:
        raise ImproperlyConfigured(f"The file {path} cannot be read ({error.strerror}).") from None
    if len(key) < 32:
        raise ImproperlyConfigured(f"The file {path} is damaged: delete it and a new key is made.")
    return key


def database_from_env() -> dict[str, Any]:
    url = url_from_env("DATABASE_URL", schemes=("sqlite", "postgres", "postgresql"))
    if not url:
        return {"ENGINE": "django.db.backends.sqlite3", "NAME": str(local_database())}
    try:
        database: dict[str, Any] = dict(env.db_url_config(url))
    except Exception:  # noqa: BLE001  every failure of the parser gets the same answer
        database = {}
    if database.get("NAME", "") in ("", ":memory:"):
        raise ImproperlyConfigured(
            "DATABASE_URL names no database: write postgres://user:password@host/name or sqlite:///file."
        )
    return database


def title_model_from_env(name: str) -> str:
    model = os.environ.get(name, "").strip() or "claude-haiku-4-5"
    return "" if model.lower() in ("off", "0", "none") else model


def log_level_from_env() -> str:
    level = os.environ.get("LOG_LEVEL", "WARNING").strip().upper()
    if level not in logging.getLevelNamesMapping():
        raise ImproperlyConfigured(f"LOG_LEVEL is {level!r}: use DEBUG, INFO, WARNING or ERROR.")
    return level


DEBUG = bool_from_env("DEBUG", default=False)
SECRET_KEY_FROM_ENV = bool(os.environ.get("SECRET_KEY"))
SECRET_KEY = os.environ.get("SECRET_KEY") or local_secret_key()
ALLOWED_HOSTS = hosts_from_env("ALLOWED_HOSTS", default=["localhost", "127.0.0.1", "[::1]"])
CSRF_TRUSTED_ORIGINS = origins_from_env("CSRF_TRUSTED_ORIGINS")
# Whose `X-Forwarded-For` says where a request comes from.
TRUSTED_PROXIES = networks_from_env("TRUSTED_PROXIES")
PORT = int(number_from_env("PORT", default=8000, least=0, most=65535))
# `/metrics` answers requests with this bearer token, and people who may read the ledger.
METRICS_TOKEN = os.environ.get("METRICS_TOKEN", "").strip()
REDIS_URL = redis_url_from_env("REDIS_URL")
# The longest time from the signal to the end of the process; for its steps see chatapp/process/shutdown.py.
SHUTDOWN_SECONDS = number_from_env("SHUTDOWN_SECONDS", default=30, least=1, most=3600)
# A process that was silent for this long counts as dead: another one ends its replies.
REPLY_LEASE_SECONDS = number_from_env("REPLY_LEASE_SECONDS", default=15, least=1, most=600)
# The model that names a conversation after its first reply; empty: the first words of its first message name it.
TITLE_MODEL = title_model_from_env("TITLE_MODEL")
# Hosts of MCP servers that may have an address of the inside; those of this machine may do without https.
MCP_PRIVATE_HOSTS = hosts_from_env("MCP_PRIVATE_HOSTS", default=[])
# A history of more tokens than this is summarised for the assistant; 0: never. The admin sets it per assistant.
SUMMARISE_ABOVE_TOKENS = int(number_from_env("SUMMARISE_ABOVE_TOKENS", default=60_000, least=0, most=10_000_000))
# The model that writes these summaries; empty: the one that answers, which reads the history from its warm cache.
SUMMARY_MODEL = os.environ.get("SUMMARY_MODEL", "").strip()
# What the text of one person's attachments may take in the database.
ATTACHMENT_QUOTA_BYTES = int(number_from_env("ATTACHMENT_QUOTA_MB", default=200, least=1, most=1_000_000) * 1024**2)
ANTHROPIC_API_KEY = os.environ.get("ANTHROPIC_API_KEY", "").strip()
ANTHROPIC_BASE_URL = url_from_env("ANTHROPIC_BASE_URL", schemes=("http", "https"))
# Without a key the simulator answers; `serve` refuses that for a site that others can reach, unless this is set.
ALLOW_SIMULATOR = bool_from_env("ALLOW_SIMULATOR", default=False)
LOCAL_MODEL_NOTE = ""
"""What pages say about a local model, beside that one answers."""

# Accounts. Without `EMAIL_HOST` nobody is sent anything, and no page offers it.
ADMIN_PATH = path_from_env("ADMIN_PATH", default="admin")
OPEN_REGISTRATION = bool_from_env("OPEN_REGISTRATION", default=False)
STAFF_SECOND_FACTOR = bool_from_env("STAFF_SECOND_FACTOR", default=False)
# Conversations are deleted so many days after their last message; 0: they stay.
KEEP_CHATS_DAYS = int(number_from_env("KEEP_CHATS_DAYS", default=0, least=0, most=36_500))
MAILER = mailer_from_env()
SENDS_MAIL = bool(MAILER["host"])
if django.VERSION >= (6, 1):
    MAILERS = {"default": {"BACKEND": "django.core.mail.backends.smtp.EmailBackend", "OPTIONS": MAILER}}
else:
    EMAIL_HOST, EMAIL_PORT = MAILER["host"], MAILER["port"]
    EMAIL_HOST_USER, EMAIL_HOST_PASSWORD = MAILER["username"], MAILER["password"]
    EMAIL_USE_TLS, EMAIL_USE_SSL = MAILER["use_tls"], MAILER["use_ssl"]
    EMAIL_TIMEOUT = MAILER["timeout"]
DEFAULT_FROM_EMAIL = os.environ.get("DEFAULT_FROM_EMAIL", "").strip() or "warmcache@localhost"
SERVER_EMAIL = DEFAULT_FROM_EMAIL
EMAIL_SUBJECT_PREFIX = "[Warmcache] "
# Who is told by mail of what `deploy/alerts.yaml` warns of. Nothing else is sent there: no errors, no content.
ADMINS = mail_addresses_from_env("ADMINS")
PASSWORD_RESET_TIMEOUT = 3600

# Sign-in with OpenID Connect, beside name and password: chatapp/accounts/oidc.py. Without an issuer there is none.
OIDC_ISSUER = issuer_from_env("OIDC_ISSUER")
OIDC_CLIENT_ID = os.environ.get("OIDC_CLIENT_ID", "").strip()
OIDC_CLIENT_SECRET = os.environ.get("OIDC_CLIENT_SECRET", "").strip()
OIDC_NAME = os.environ.get("OIDC_NAME", "").strip() or "single sign-on"
# Whomever the provider knows may register, also where OPEN_REGISTRATION is off.
OIDC_REGISTRATION = bool_from_env("OIDC_REGISTRATION", default=False)
# Signing out here signs out at the provider, too, of those whom it has signed in.
OIDC_SIGN_OUT = bool_from_env("OIDC_SIGN_OUT", default=False)
# Whose account an address that the provider has verified opens by itself.
OIDC_LINK_BY_MAIL = word_from_env("OIDC_LINK_BY_MAIL", words=("off", "people", "staff"))

INSTALLED_APPS = [
    "chatapp",
    "warmcache",
    "chatapp.apps.ChatAdminConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "chatapp.apps.ChatStaticFilesConfig",
    "axes",
    "csp",
    "django_otp",
    "django_otp.plugins.otp_totp",
    "django_otp.plugins.otp_static",
    "servestatic",
]

MIDDLEWARE = [
    "chatapp.pages.access_log.access_log",
    "django.middleware.security.SecurityMiddleware",
    "chatapp.pages.middleware.StaticFilesMiddleware",
    "chatapp.pages.middleware.ContentSecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "chatapp.pages.middleware.HostMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "chatapp.pages.session_notes.SessionNotesMiddleware",
    "chatapp.pages.post_limits.PostLimitMiddleware",
    "chatapp.pages.middleware.BodyLimitMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "axes.middleware.AxesMiddleware",
]

ROOT_URLCONF = "chatapp.urls"
ASGI_APPLICATION = "chatapp.asgi.application"
AUTH_USER_MODEL = "chatapp.User"
LOGIN_URL = "/accounts/login/"
LOGIN_REDIRECT_URL = "/"
LOGOUT_REDIRECT_URL = "/accounts/login/"
# The name that an authenticator app shows.
OTP_TOTP_ISSUER = "Warmcache"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
APPEND_SLASH = True
# `chatapp.W001` says the same once, and what to do.
SILENCED_SYSTEM_CHECKS = ["staticfiles.W004"]

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "chatapp.pages.context_processors.upstream",
            ],
            "builtins": ["django.templatetags.i18n"],
        },
    },
]

# Database. SQLite is for one process; PostgreSQL uses a connection pool, because under ASGI a persistent connection
# per thread is never reused.
DATABASE = database_from_env()
# DATABASE_URL leads to PgBouncer, or to another pooler that gives out connections by transaction.
PGBOUNCER = bool_from_env("PGBOUNCER", default=False)
DATABASES = {"default": DATABASE}
DATABASE["CONN_MAX_AGE"] = 0
if DATABASE["ENGINE"].endswith("sqlite3"):
    DATABASE["OPTIONS"] = {
        "transaction_mode": "IMMEDIATE",
        "timeout": 5,
        "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
    }
else:
    DATABASE["CONN_HEALTH_CHECKS"] = True
    DATABASE.setdefault("OPTIONS", {})
    DATABASE["OPTIONS"] |= {
        "pool": {"min_size": 2, "max_size": 10, "timeout": 5},
    }
    if PGBOUNCER:
        # A server's connection is another one in each transaction: nothing may outlive it, and it takes no `options`.
        DATABASE["DISABLE_SERVER_SIDE_CURSORS"] = True
        DATABASE["OPTIONS"]["prepare_threshold"] = None
    elif COMMAND != "migrate":
        # A request may not hold a connection for longer, but a migration may.
        DATABASE["OPTIONS"].setdefault("options", "-c statement_timeout=5000")

if REDIS_URL:
    CHANNEL_LAYERS: dict[str, Any] = {
        # It sets its own timeouts, retries and pools: redis-py's defaults end a listener after 5 s of silence.
        "default": {
            "BACKEND": "chatapp.socket.channel_layer.SteadyPubSubLayer",
            "CONFIG": {"hosts": [{"address": REDIS_URL}]},
        }
    }
else:
    CHANNEL_LAYERS = {"default": {"BACKEND": "chatapp.socket.memory_layer.MemoryLayer"}}

# Failed sign-ins, counted and slowed: chatapp/accounts/sign_in_limits.py.
AUTHENTICATION_BACKENDS = ["axes.backends.AxesStandaloneBackend", "django.contrib.auth.backends.ModelBackend"]
AXES_HANDLER = "chatapp.accounts.sign_in_limits.SignInHandler"
AXES_CLIENT_IP_CALLABLE = "chatapp.accounts.sign_in_limits.address_of"
AXES_LOCKOUT_CALLABLE = "chatapp.pages.views.too_many_sign_ins"
AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"], "username", "ip_address"]
AXES_FAILURE_LIMIT = 5
AXES_COOLOFF_TIME = timedelta(minutes=15)
AXES_RESET_ON_SUCCESS = True
AXES_RESET_COOL_OFF_ON_FAILURE_DURING_LOCKOUT = False
AXES_DISABLE_ACCESS_LOG = True

AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in ("UserAttributeSimilarityValidator", "MinimumLengthValidator", "CommonPasswordValidator")
]

# A page is in the language that the person has chosen in the account, else in the one that the browser asks for.
LANGUAGE_CODE = "en"
LANGUAGES = [("en", "English"), ("de", "Deutsch")]
LOCALE_PATHS = [BASE_DIR / "locale"]
TIME_ZONE = "UTC"
USE_TZ = True

STATIC_URL = "/static/"
STATIC_ROOT = Path(os.environ.get("STATIC_ROOT") or BASE_DIR / "staticfiles")
# Where the collected files of all releases are kept, if STATIC_ROOT is another one for each, as in containers.
KEPT_STATIC_ROOT = Path(os.environ["KEPT_STATIC_ROOT"]) if os.environ.get("KEPT_STATIC_ROOT") else None
NODE_MODULES = BASE_DIR / "node_modules"
STATICFILES_DIRS: list[Any] = [
    BASE_DIR / "static",
    ("npm/markdown-it", NODE_MODULES / "markdown-it" / "dist" / "browser"),
    ("npm/katex", NODE_MODULES / "katex" / "dist"),
    ("npm/dompurify", NODE_MODULES / "dompurify" / "dist"),
    ("npm/highlight.js", NODE_MODULES / "@highlightjs" / "cdn-assets"),
    ("npm/uplot", NODE_MODULES / "uplot" / "dist"),
]
# Hashed names once `collectstatic` has run; before that, files are served from their source folders.
COLLECTED = (STATIC_ROOT / "staticfiles.json").exists() or COMMAND == "collectstatic"
SERVESTATIC_USE_MANIFEST = COLLECTED
SERVESTATIC_USE_FINDERS = not COLLECTED
SERVESTATIC_AUTOREFRESH = not COLLECTED
SERVESTATIC_MAX_AGE = 60 if COLLECTED else 0
SERVESTATIC_ALLOW_ALL_ORIGINS = False
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {
        "BACKEND": "servestatic.storage.CompressedManifestStaticFilesStorage"
        if COLLECTED
        else "django.contrib.staticfiles.storage.StaticFilesStorage"
    },
}

# Security. Cookies are marked Secure as soon as the site has an https origin.
HTTPS = any(urlsplit(origin).scheme == "https" for origin in CSRF_TRUSTED_ORIGINS)
SESSION_ENGINE = "chatapp.accounts.session_store"
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = HTTPS
SESSION_COOKIE_NAME = "__Host-sessionid" if HTTPS else "sessionid"
CSRF_COOKIE_NAME = "__Host-csrftoken" if HTTPS else "csrftoken"
LANGUAGE_COOKIE_NAME = "__Host-language" if HTTPS else "language"
LANGUAGE_COOKIE_SECURE = HTTPS
LANGUAGE_COOKIE_HTTPONLY = True
LANGUAGE_COOKIE_SAMESITE = "Lax"
LANGUAGE_COOKIE_AGE = 365 * 86_400
# Scripts read the CSRF token from the page's configuration.
CSRF_COOKIE_HTTPONLY = True
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if HTTPS else None
SECURE_HSTS_SECONDS = 31_536_000 if HTTPS else 0
SECURE_REFERRER_POLICY = "same-origin"
SECURE_CROSS_ORIGIN_OPENER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
# What only a person of the staff may send, to the admin: an assistant's form holds all its documents.
# For everything else see `BodyLimitMiddleware`.
DATA_UPLOAD_MAX_MEMORY_SIZE = 64 * 1024 * 1024
DATA_UPLOAD_MAX_NUMBER_FIELDS = 10_000

WEBSOCKET_ORIGINS = [origin.replace("http", "ws", 1) for origin in CSRF_TRUSTED_ORIGINS]
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [NONE],
        "script-src": [SELF, NONCE],
        "style-src": [SELF],
        "img-src": [SELF, "blob:"],
        "font-src": [SELF],
        "connect-src": [SELF, *WEBSOCKET_ORIGINS],
        "manifest-src": [SELF],
        "form-action": [SELF],
        "base-uri": [NONE],
        "object-src": [NONE],
        "frame-ancestors": [NONE],
        "trusted-types": ["dompurify"],
        "require-trusted-types-for": ["'script'"],
    }
}

# The limits where the admin sets none (`UsageLimit`); money in US dollars, a name that is missing sets no limit. A busy
# hour of one person is far below them, and a loop of a program is above them at once.
DEFAULT_LIMITS: dict[str, dict[str, int | str]] = {
    "each_person": {
        "messages_per_minute": 60,
        "messages_per_day": 1_000,
        "running_replies": 12,
        "usd_per_day": "10",
        "usd_per_month": "100",
    },
    "all_together": {"usd_per_day": "200", "usd_per_month": "2000"},
}
USAGE_LIMITS = DEFAULT_LIMITS if bool_from_env("DEFAULT_LIMITS", default=True) else {}
# In each process. Many people may share an address.
SOCKETS_PER_PERSON = int(number_from_env("SOCKETS_PER_PERSON", default=40, least=1, most=1_000_000))
CONNECTIONS_PER_ADDRESS = int(number_from_env("CONNECTIONS_PER_ADDRESS", default=1_000, least=1, most=1_000_000))

# All settings of warmcache; `warmcache/conf.py` reads and documents each entry. `demo` and `serve` set API_KEY,
# BASE_URL and UPSTREAM at their start (chatapp/process/upstream.py).
WARMCACHE = {
    "API_KEY": ANTHROPIC_API_KEY,
    "BASE_URL": ANTHROPIC_BASE_URL or None,
    "UPSTREAM": "anthropic" if ANTHROPIC_API_KEY else "simulator",
    "REDIS_URL": REDIS_URL,
    "PURSE": "chatapp.quotas.purse.Purse",
    "UPLOT": "npm/uplot",
    "ENABLED": bool_from_env("WARMCACHE_ENABLED", default=True),
    "MAX_COST_PER_WARM_UP_USD": os.environ.get("WARMCACHE_MAX_COST_PER_WARM_UP_USD", "0.25"),
    "VALUE_OF_SECOND_USD": os.environ.get("WARMCACHE_VALUE_OF_SECOND_USD", "0.05"),
    "HOLDOUT_SHARE": os.environ.get("WARMCACHE_HOLDOUT_SHARE", "0"),
    "LEARNS": bool_from_env("WARMCACHE_LEARNS", default=True),
}
# The simulator that answers if there is no key: its latency profile, seed and noise.
SIMULATOR: dict[str, Any] = {
    "profile": os.environ.get("SIMULATOR_PROFILE", "auto"),
    "seed": int(number_from_env("SIMULATOR_SEED", default=1, least=0, most=2**31)),
    "noise": number_from_env("SIMULATOR_NOISE", default=0.25, least=0, most=2),
}


def without_traceback(record: logging.LogRecord) -> bool:
    record.exc_info = None
    return True


# What the log may hold: chatapp/process/log_privacy.py. A record that cannot be formatted must not print its arguments.
logging.raiseExceptions = False
LOG_FORMAT = word_from_env("LOG_FORMAT", words=("plain", "json"))
# A line for each request and each socket, whatever LOG_LEVEL says.
ACCESS_LOG = bool_from_env("ACCESS_LOG", default=False)
# Traces of replies go there, by chatapp/replies/traces.py; the exporter reads its other variables by itself.
OTEL_EXPORTER_OTLP_ENDPOINT = url_from_env("OTEL_EXPORTER_OTLP_ENDPOINT", schemes=("http", "https"))
OTEL_SERVICE_NAME = os.environ.get("OTEL_SERVICE_NAME", "").strip() or "warmcache"
DEFAULT_EXCEPTION_REPORTER_FILTER = "chatapp.process.log_privacy.NoContentReports"
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "plain": {
            "()": "chatapp.process.log_privacy.NoContentFormatter",
            "format": "{asctime} {levelname} {name} {message}",
            "style": "{",
        },
        "json": {"()": "chatapp.process.log_format.JsonFormatter"},
    },
    "filters": {
        "no_content": {"()": "chatapp.process.log_privacy.NoContent"},
        "brief": {"()": "django.utils.log.CallbackFilter", "callback": without_traceback},
    },
    "handlers": {
        "stderr": {"class": "logging.StreamHandler", "formatter": LOG_FORMAT, "filters": ["no_content"]},
        "stderr_brief": {
            "class": "logging.StreamHandler",
            "formatter": LOG_FORMAT,
            "filters": ["no_content", "brief"],
        },
    },
    "root": {"handlers": ["stderr"], "level": log_level_from_env()},
    "loggers": {
        "chatapp.access": {"level": "INFO"},
        # We say the same in plain words.
        "axes": {"level": "ERROR"},
        "django": {"handlers": ["stderr"], "level": "WARNING", "propagate": False},
        "django.request": {"level": "ERROR"},
        # Also that of `runserver`, which would log each path.
        "django.server": {"handlers": ["stderr"], "level": "ERROR", "propagate": False},
        # Anybody can send one; the log line tells an operator what to add, a traceback would not help.
        "django.security.DisallowedHost": {"handlers": ["stderr_brief"], "propagate": False},
    },
}
