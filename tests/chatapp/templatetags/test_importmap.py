"""The import map that lets unbundled modules be served under hashed names."""

import json
import re
from pathlib import Path
from types import SimpleNamespace

import pytest
from django.contrib.staticfiles.storage import staticfiles_storage
from django.template import Context, Template
from django.test import override_settings

from chatapp.templatetags import importmap

MODULES = Path(__file__).resolve().parents[3] / "static" / "js"
PACKAGES = {"dompurify", "highlight.js", "katex", "markdown-it", "warmcache/typing.js"}
MANIFEST_STORAGE = "django.contrib.staticfiles.storage.ManifestStaticFilesStorage"


def render(source: str, nonce: str | None = "n0nce") -> str:
    request = SimpleNamespace(csp_nonce=nonce) if nonce else None
    return Template("{% load importmap %}" + source).render(Context({"request": request}))


def imports(html: str) -> dict[str, str]:
    return json.loads(re.fullmatch(r"<script[^>]*>(.*)</script>", html).group(1))["imports"]


@pytest.fixture
def hashed(tmp_path, settings):
    """Static files as after `collectstatic`: the modules, the packages, and a manifest that names them."""
    names = ["js/main.js", "js/transport/socket.js", "css/base.css", "warmcache/typing.js", "warmcache/console.js"]
    names += importmap.PACKAGES.values()
    paths = {name: re.sub(r"(\.\w+)$", r".0a1b2c\1", name) for name in names}
    manifest = {"version": "1.1", "paths": paths, "hash": tmp_path.name}
    (tmp_path / "staticfiles.json").write_text(json.dumps(manifest))
    storages = {**settings.STORAGES, "staticfiles": {"BACKEND": MANIFEST_STORAGE}}
    with override_settings(STORAGES=storages, STATIC_ROOT=str(tmp_path), DEBUG=False):
        yield


def test_bare_names_lead_to_the_packages():
    found = imports(render("{% importmap %}"))

    assert found.keys() >= PACKAGES
    assert found["markdown-it"] == staticfiles_storage.url("npm/markdown-it/markdown-it.esm.min.mjs")


def test_without_hashes_only_the_packages_need_the_map():
    assert imports(render("{% importmap %}")).keys() == PACKAGES
    assert render("{% modulepreloads %}") == ""


def test_each_module_leads_to_its_hashed_name(hashed):
    found = imports(render("{% importmap %}"))

    assert found["/static/js/main.js"] == "/static/js/main.0a1b2c.js"
    assert found["/static/js/transport/socket.js"] == "/static/js/transport/socket.0a1b2c.js"
    assert found["warmcache/typing.js"] == "/static/warmcache/typing.0a1b2c.js"
    assert found["dompurify"] == "/static/npm/dompurify/purify.es.0a1b2c.mjs"
    assert not [name for name in found if name.endswith(".css")]


def test_hashed_modules_are_fetched_all_at_once(hashed):
    html = render("{% modulepreloads %}")

    assert html.splitlines() == [
        '<link rel="modulepreload" href="/static/js/main.0a1b2c.js">',
        '<link rel="modulepreload" href="/static/js/transport/socket.0a1b2c.js">',
        '<link rel="modulepreload" href="/static/warmcache/typing.0a1b2c.js">',
    ]


def test_the_map_carries_the_pages_nonce():
    assert render("{% importmap %}", nonce="abc").startswith('<script type="importmap" nonce="abc">')


def test_a_page_without_a_policy_needs_no_nonce():
    assert render("{% importmap %}", nonce=None).startswith('<script type="importmap">')


def test_nothing_in_the_map_can_end_its_script_element(hashed, monkeypatch):
    monkeypatch.setitem(importmap.PACKAGES, "</script><script>alert(1)", "npm/dompurify/purify.es.mjs")
    importmap._map_json.cache_clear()

    html = render("{% importmap %}")

    importmap._map_json.cache_clear()
    assert html.count("</script>") == 1
    assert "</script><script>alert(1)" in imports(html)


def test_every_import_of_a_module_can_be_found():
    """Relative, with the extension and of a file that exists; or one of the map's bare names."""
    found = [
        (module, name)
        for module in MODULES.rglob("*.js")
        for name in re.findall(r"""(?<!["'])\b(?:from|import)\s*\(?\s*["']([^"']+)["']""", module.read_text())
    ]

    lost = [pair for pair in found if not (pair[1] in PACKAGES or (pair[0].parent / pair[1]).is_file())]
    assert len(found) > 50
    assert lost == []


def test_the_lock_file_names_no_registry():
    root = MODULES.parents[1]
    lock = (root / "package-lock.json").read_text()

    assert '"resolved"' not in lock


def test_a_nonce_that_nobody_has_read_yet_is_a_nonce():
    """As the policy's own is: false until it is read, because only pages that use it need it."""

    class Unread(str):
        def __bool__(self) -> bool:
            return False

    context = Context({"request": SimpleNamespace(csp_nonce=Unread("abc"))})

    html = Template("{% load importmap %}{% importmap %}").render(context)

    assert html.startswith('<script type="importmap" nonce="abc">')
