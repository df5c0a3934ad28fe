"""The import map, which lets unbundled ES modules be served under hashed names.

Modules import each other by relative paths with the extension, so that Node can run the same files. The manifest
storage does not rewrite those imports, so the map resolves each plain URL to the hashed one.
"""

import json
from functools import lru_cache
from typing import Any

from django import template
from django.conf import settings
from django.contrib.staticfiles import finders
from django.contrib.staticfiles.storage import staticfiles_storage
from django.templatetags.static import static
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import get_language

from chatapp.front_end import PACKAGES

register = template.Library()

MODULES_FOLDER = "js/"
WORDS = "words/{language}.js"
"""Of each language but English; `manage.py write_words` writes them."""
SHARED_MODULES = ("warmcache/typing.js",)
"""Of `warmcache`, imported by their names."""

# The characters by which JSON could end a script element or begin a comment in it.
SCRIPT_ESCAPES = {ord("<"): "\\u003C", ord(">"): "\\u003E", ord("&"): "\\u0026"}


@register.simple_tag(takes_context=True)
def importmap(context: template.Context) -> SafeString:
    """`<script type="importmap">` with the page's nonce. It must come before the first module script."""
    nonce = getattr(context.get("request"), "csp_nonce", None)
    # The nonce is lazy, and false until it is read, so only None means that there is none.
    attribute = format_html(' nonce="{}"', nonce) if nonce is not None else ""
    return format_html('<script type="importmap"{}>{}</script>', attribute, _map_json(*_storage_state()))


@register.simple_tag(takes_context=True)
def page_words(context: template.Context) -> SafeString:
    """The script with the words of the page's language, before any that uses them. None in English, which the scripts
    speak by themselves."""
    name = WORDS.format(language=get_language())
    if not _is_there(name, *_storage_state()):
        return SafeString("")
    nonce = getattr(context.get("request"), "csp_nonce", None)
    attribute = format_html(' nonce="{}"', nonce) if nonce is not None else ""
    return format_html('<script type="module" src="{}"{}></script>', static(name), attribute)


@register.simple_tag
def modulepreloads() -> SafeString:
    """Links that fetch all modules at once instead of one import after the other; empty if names are not hashed."""
    links = ((static(name),) for name in _module_names(*_storage_state()))
    return format_html_join("\n", '<link rel="modulepreload" href="{}">', links)


def _storage_state() -> tuple[str, str]:
    """What the map depends on: where static files are, and which manifest names them (empty when none does)."""
    return settings.STATIC_URL, getattr(staticfiles_storage, "manifest_hash", "")


@lru_cache(maxsize=16)
def _is_there(name: str, base_url: str, manifest_hash: str) -> bool:
    hashed: dict[str, Any] = getattr(staticfiles_storage, "hashed_files", {})
    return name in hashed if manifest_hash else finders.find(name) is not None


@lru_cache(maxsize=4)
def _map_json(base_url: str, manifest_hash: str) -> SafeString:
    imports = {name: static(path) for name, path in PACKAGES.items()}
    imports |= {name: static(name) for name in SHARED_MODULES}
    for name in _module_names(base_url, manifest_hash):
        imports[base_url + name] = static(name)
    # Our own file names, with everything escaped that could end the script element.
    return mark_safe(json.dumps({"imports": imports}).translate(SCRIPT_ESCAPES))  # noqa: S308


@lru_cache(maxsize=4)
def _module_names(base_url: str, manifest_hash: str) -> tuple[str, ...]:
    hashed: dict[str, Any] = getattr(staticfiles_storage, "hashed_files", {}) if manifest_hash else {}
    modules = (name for name in hashed if name.startswith((MODULES_FOLDER, *SHARED_MODULES)) and name.endswith(".js"))
    return tuple(sorted(name for name in modules if static(name) != base_url + name))
