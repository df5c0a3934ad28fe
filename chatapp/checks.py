"""Configuration that would fail later, told at `manage.py check` and when `serve` starts."""

from collections.abc import Sequence
from typing import Any

from django.apps import AppConfig
from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, Warning, register


@register(Tags.staticfiles)
def check_front_end_packages(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    folders = [entry[1] for entry in settings.STATICFILES_DIRS if isinstance(entry, tuple)]
    if settings.COLLECTED or all(folder.is_dir() for folder in folders):
        return []
    return [
        Warning(
            "The front-end packages are not installed: pages will not work in a browser.",
            hint="Run `make setup`, or `npm ci` in the project's folder.",
            id="chatapp.W001",
        )
    ]


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
