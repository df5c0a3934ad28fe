"""System checks: report configuration that would fail later, at `manage.py check` and when `serve` starts."""

from collections.abc import Sequence
from typing import Any

from django.apps import AppConfig
from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, Warning, register
from django.db import DatabaseError, connection

from chatapp import front_end
from chatapp.models import McpServer
from chatapp.tool_servers.addresses import problem_of_url
from chatapp.tool_servers.contacts import problem_of_secret
from warmcache.background.database import DATABASE_THREADS

IN_MEMORY_LAYERS = ("chatapp.socket.memory_layer.MemoryLayer", "channels.layers.InMemoryChannelLayer")
STEADY_LAYER = "chatapp.socket.channel_layer.SteadyPubSubLayer"
PAGE_COMMANDS = ("check", "collectstatic", "demo", "serve")


@register(Tags.staticfiles)
def check_front_end_packages(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """An error where pages are about to be collected or served; elsewhere, as in `migrate`, they are not needed."""
    missing = front_end.missing_files()
    if not missing:
        return []
    kind = Error if settings.COMMAND in PAGE_COMMANDS else Warning
    if settings.COLLECTED and settings.COMMAND != "collectstatic":
        hint = "Run `npm ci` in the project's folder, then `python manage.py collectstatic`."
        told = f"{settings.STATIC_ROOT} lacks {missing[0]}: no page can be shown."
    else:
        hint = "Run `make setup`, or `npm ci` in the project's folder."
        told = "The front-end packages are not installed: pages will not work in a browser."
    return [kind(told, hint=hint, id="chatapp.E008" if kind is Error else "chatapp.W001")]


@register(Tags.database)
def check_one_process_on_sqlite(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    if not settings.REDIS_URL or not settings.DATABASE["ENGINE"].endswith("sqlite3"):
        return []
    return [
        Warning(
            "REDIS_URL is for several processes, and SQLite is for one.",
            hint="Set DATABASE_URL to a PostgreSQL database.",
            id="chatapp.W002",
        )
    ]


@register(Tags.database)
def check_connections(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """A socket lives for hours and has no request cycle: connections must be borrowed, checked and returned."""
    database = settings.DATABASE
    options = database.get("OPTIONS", {})
    found: list[CheckMessage] = []
    if database.get("CONN_MAX_AGE", 0) != 0:
        found.append(
            Error(
                "CONN_MAX_AGE keeps a connection in each of many threads, and none is ever used again.",
                hint='Set CONN_MAX_AGE to 0; on PostgreSQL OPTIONS["pool"] keeps connections.',
                id="chatapp.E002",
            )
        )
    if database["ENGINE"].endswith("sqlite3"):
        return found + _check_sqlite(options)
    if not isinstance(options.get("pool"), dict) or options["pool"].get("max_size", 4) <= DATABASE_THREADS:
        found.append(
            Error(
                f"The pool of database connections is too small: {DATABASE_THREADS} threads of sockets use it up.",
                hint=f'Set OPTIONS["pool"] to a dict with a max_size of {DATABASE_THREADS + 2} or more.',
                id="chatapp.E003",
            )
        )
    if not database.get("CONN_HEALTH_CHECKS"):
        found.append(
            Error(
                "After a restart of PostgreSQL each dead connection of the pool would fail once.",
                hint="Set CONN_HEALTH_CHECKS to True.",
                id="chatapp.E004",
            )
        )
    # A migration may take as long as it needs; behind PgBouncer the role has the limit, see `check_limit_of_role`.
    is_limited = (
        settings.PGBOUNCER or settings.COMMAND == "migrate" or "statement_timeout" in str(options.get("options"))
    )
    if not is_limited:
        found.append(
            Warning(
                "One slow query may hold a database thread, and the sockets behind it, for as long as it likes.",
                hint='Add "-c statement_timeout=5000" to OPTIONS["options"].',
                id="chatapp.W005",
            )
        )
    return found


@register(Tags.database)
def check_limit_of_role(
    app_configs: Sequence[AppConfig] | None, databases: Sequence[str] | None = None, **kwargs: Any
) -> list[CheckMessage]:
    """Only with `check --database default`, which may ask the database."""
    if not settings.PGBOUNCER or "default" not in (databases or ()) or connection.vendor != "postgresql":
        return []
    with connection.cursor() as cursor:
        cursor.execute("SHOW statement_timeout")
        (limit,) = cursor.fetchone()
    if limit != "0":
        return []
    return [
        Warning(
            "Behind PgBouncer the time limit of a query comes from the role, and this role has none.",
            hint=f"Run `ALTER ROLE {connection.settings_dict['USER'] or '...'} SET statement_timeout = '5s'`.",
            id="chatapp.W007",
        )
    ]


def _check_sqlite(options: dict[str, Any]) -> list[CheckMessage]:
    if options.get("transaction_mode") == "IMMEDIATE" and "WAL" in str(options.get("init_command", "")).upper():
        return []
    return [
        Warning(
            "SQLite would answer 'database is locked' as soon as two things are written at once.",
            hint='Set OPTIONS["transaction_mode"] to "IMMEDIATE" and OPTIONS["init_command"] to one with '
            "`PRAGMA journal_mode=WAL`.",
            id="chatapp.W006",
        )
    ]


@register
def check_mail_to_admins(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    if not settings.ADMINS or settings.SENDS_MAIL:
        return []
    return [
        Warning(
            "ADMINS names people whom nothing can be sent to.",
            hint="Set EMAIL_HOST, and what belongs to it.",
            id="chatapp.W008",
        )
    ]


@register
def check_channel_layer(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """Reports combinations that work in a test and fail in production."""
    layer = settings.CHANNEL_LAYERS["default"]
    backend = layer["BACKEND"]
    if backend in IN_MEMORY_LAYERS and settings.REDIS_URL:
        return [
            Error(
                "REDIS_URL is for several processes, and an in-memory channel layer tells other processes nothing.",
                hint=f"Use {STEADY_LAYER} as the channel layer, or leave REDIS_URL out.",
                id="chatapp.E005",
            )
        ]
    if backend.startswith("channels_redis.core"):
        return [
            Error(
                "The core layer of channels_redis keeps its groups in Redis, loses them with it, and drops events.",
                hint=f"Use {STEADY_LAYER} as the channel layer.",
                id="chatapp.E006",
            )
        ]
    if backend.startswith("channels_redis.") and not all(map(_listens_without_limit, _hosts(layer))):
        return [
            Error(
                "redis-py ends a blocking read after its socket_timeout, 5 s by default, and sockets would fall deaf.",
                hint=f'Use {STEADY_LAYER} as the channel layer, or set "socket_timeout": None for each of its hosts.',
                id="chatapp.E007",
            )
        ]
    return []


def _hosts(layer: dict[str, Any]) -> list[Any]:
    hosts: list[Any] = layer.get("CONFIG", {}).get("hosts") or [None]
    return hosts


def _listens_without_limit(host: Any) -> bool:
    return isinstance(host, dict) and host.get("socket_timeout", 5) is None


@register(Tags.security)
def check_upstream(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    if not settings.ANTHROPIC_BASE_URL or settings.ANTHROPIC_API_KEY:
        return []
    return [
        Error(
            "ANTHROPIC_BASE_URL is set but ANTHROPIC_API_KEY is not.",
            hint="Set both, or neither to use the simulator.",
            id="chatapp.E001",
        )
    ]


@register(Tags.security)
def check_oidc(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    needed = {settings.OIDC_ISSUER, settings.OIDC_CLIENT_ID, settings.OIDC_CLIENT_SECRET}
    if "" not in needed or needed == {""}:
        return []
    return [
        Error(
            "Only a part of OIDC_ISSUER, OIDC_CLIENT_ID and OIDC_CLIENT_SECRET is set.",
            hint="Set all three, or none of them.",
            id="chatapp.E009",
        )
    ]


@register(Tags.security, deploy=True)
def check_deployment(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    found: list[CheckMessage] = []
    if not settings.SECRET_KEY_FROM_ENV:
        found.append(
            Warning("SECRET_KEY comes from var/secret_key.", hint="Set it in the environment.", id="chatapp.W003")
        )
    if not settings.HTTPS:
        found.append(
            Warning(
                "Cookies travel without encryption.",
                hint="Put the site behind https and name its origin in CSRF_TRUSTED_ORIGINS.",
                id="chatapp.W004",
            )
        )
    return found


@register(Tags.database)
def check_mcp_servers(
    app_configs: Sequence[AppConfig] | None, databases: Sequence[str] | None = None, **kwargs: Any
) -> list[CheckMessage]:
    """Only with `check --database default`, which may ask the database."""
    if "default" not in (databases or ()):
        return []
    try:
        listed = list(McpServer.objects.filter(is_enabled=True))
    except DatabaseError:
        return []  # before its first migration
    hint = "No model gets an answer from this server until then."
    problems = (
        problem_of_url(server.url, private_hosts=settings.MCP_PRIVATE_HOSTS) or problem_of_secret(server)
        for server in listed
    )
    return [
        Warning(f"MCP server {server}: {problem}", hint=hint, id="chatapp.W009")
        for server, problem in zip(listed, problems, strict=True)
        if problem
    ]
