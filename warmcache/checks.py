"""What `manage.py check` says about the WARMCACHE setting.

warmcache.E001  an entry cannot be read
warmcache.E002  the store cannot be imported, or is not a store
warmcache.E004  the provider or the client cannot be imported, or is none
warmcache.E003  the host's routers put the ledger into several databases
warmcache.E005  the ledger is in a database that cannot run its statements
warmcache.W001  the Claude API is used without a key
warmcache.W002  the key would be sent unencrypted
warmcache.W003  the cost cap forbids every warm-up
warmcache.W004  the base URL ends with the path that the SDK adds
"""

from collections.abc import Iterable, Sequence
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

from django.apps import AppConfig, apps
from django.core.checks import CheckMessage, Error, Warning, register
from django.db import connections, router
from django.utils.module_loading import import_string

from warmcache.conf import MEMORY_STORE, Config, get_config
from warmcache.core.errors import ConfigurationError
from warmcache.core.ports import WarmthStore
from warmcache.core.upstreams import Upstream

PROVIDER_METHODS = ("from_config", "prewarm", "stream", "aclose")
DATABASES = ("sqlite", "postgresql")
STORE_METHODS = ("from_config", *(name for name in vars(WarmthStore) if not name.startswith("_")))


@register("warmcache")
def check_settings(app_configs: Sequence[AppConfig] | None = None, **_: Any) -> list[CheckMessage]:
    """Reports all problems of the WARMCACHE setting at once, except those hidden by an entry that cannot be read."""
    try:
        config = get_config()
    except ConfigurationError as error:
        hint = "Correct the entry in WARMCACHE. warmcache/conf.py lists all entries and their defaults."
        return [Error(str(error), hint=hint, id="warmcache.E001")]
    return [
        *_store_problems(config),
        *_provider_problems(config),
        *_key_problems(config),
        *_path_problems(config),
        *_cap_problems(config),
    ]


def _store_problems(config: Config) -> Iterable[CheckMessage]:
    hint = f"Leave WARMCACHE['STORE'] out, or give the dotted path of a class such as {MEMORY_STORE!r}."
    path = config.store_path
    try:
        store = import_string(path)
    except ImportError as error:
        yield Error(f"The STORE {path!r} cannot be imported: {error}.", hint=hint, id="warmcache.E002")
        return
    missing = [name for name in STORE_METHODS if not callable(getattr(store, name, None))]
    if missing:
        yield Error(f"The STORE {path!r} is no store: it has no {missing[0]}().", hint=hint, id="warmcache.E002")


@register("warmcache")
def check_routers(app_configs: Sequence[AppConfig] | None = None, **_: Any) -> list[CheckMessage]:
    """One transaction writes rows of several models, so they must be in one database."""
    aliases = sorted({router.db_for_write(model) for model in apps.get_app_config("warmcache").get_models()})
    if len(aliases) == 1:
        return list(_database_problems(aliases[0]))
    return [
        Error(
            f"DATABASE_ROUTERS put the models of warmcache into several databases: {', '.join(aliases)}.",
            hint="Give the app label 'warmcache' one database.",
            id="warmcache.E003",
        )
    ]


def _database_problems(alias: str) -> Iterable[CheckMessage]:
    vendor = connections[alias].vendor
    if vendor not in DATABASES:
        yield Error(
            f"warmcache cannot keep its ledger in {connections[alias].display_name}: it settles a request with one"
            " UPDATE ... RETURNING, which MySQL, MariaDB and Oracle do not have in this form.",
            hint="Give the app label 'warmcache' a PostgreSQL or SQLite database of its own by DATABASE_ROUTERS.",
            id="warmcache.E005",
        )


def _key_problems(config: Config) -> Iterable[CheckMessage]:
    if config.upstream != Upstream.ANTHROPIC or config.client or config.provider:
        return
    if not config.api_key:
        yield Warning(
            "WARMCACHE['API_KEY'] is empty: every request will be refused.",
            hint="Set it from ANTHROPIC_API_KEY, or set WARMCACHE['UPSTREAM'] to 'simulator' and start one.",
            id="warmcache.W001",
        )
    url = urlsplit(config.base_url)
    if url.scheme != "https" and not _is_loopback(url.hostname or ""):
        yield Warning(
            f"WARMCACHE['BASE_URL'] is {config.base_url!r}: the API key and every prompt travel unencrypted.",
            hint="Use an https address.",
            id="warmcache.W002",
        )


def _provider_problems(config: Config) -> Iterable[CheckMessage]:
    """The client is not made here: that takes the cloud's credentials."""
    for name, path, wanted in (("PROVIDER", config.provider, PROVIDER_METHODS), ("CLIENT", config.client, ())):
        if not path:
            continue
        hint = f"WARMCACHE[{name!r}] is the dotted path of a {'class' if wanted else 'function'}, or is left out."
        try:
            found = import_string(path)
        except ImportError as error:
            yield Error(f"The {name} {path!r} cannot be imported: {error}.", hint=hint, id="warmcache.E004")
            continue
        missing = [method for method in wanted if not callable(getattr(found, method, None))]
        if missing or not callable(found):
            lack = f"it has no {missing[0]}()" if missing else "it cannot be called"
            yield Error(f"The {name} {path!r} is none: {lack}.", hint=hint, id="warmcache.E004")


def _path_problems(config: Config) -> Iterable[CheckMessage]:
    if config.base_url.rstrip("/").endswith(("/v1", "/v1/messages")) and not config.client:
        yield Warning(
            f"WARMCACHE['BASE_URL'] is {config.base_url!r}, and the SDK adds /v1/messages to it.",
            hint="Leave /v1 out.",
            id="warmcache.W004",
        )


def _cap_problems(config: Config) -> Iterable[CheckMessage]:
    if config.enabled and config.upstream != Upstream.LOCAL and config.max_cost_per_warm_up_usd == 0:
        yield Warning(
            "WARMCACHE['MAX_COST_PER_WARM_UP_USD'] is 0: nothing will ever be warmed.",
            hint="Set a cap above 0, or WARMCACHE['ENABLED'] to False.",
            id="warmcache.W003",
        )


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
