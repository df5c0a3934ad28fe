"""The manifest that makes the chat an app of its own."""

import json
import re

from django.conf import settings
from django.contrib.staticfiles import finders
from django.utils.translation import deactivate
from PIL import Image


def test_a_manifest_names_icons_that_exist_in_the_sizes_that_it_tells(client):
    response = client.get("/manifest.webmanifest")

    told = json.loads(response.content)
    assert response["Content-Type"] == "application/manifest+json"
    assert (told["start_url"], told["scope"], told["display"]) == ("/", "/", "standalone")
    for icon in told["icons"]:
        path = finders.find(icon["src"].removeprefix("/static/"))
        assert path is not None
        if icon["type"] == "image/png":
            with Image.open(path) as image:
                assert "{}x{}".format(*image.size) == icon["sizes"]
    assert {icon["purpose"] for icon in told["icons"]} == {"any", "maskable"}


def test_a_manifest_speaks_the_language_of_the_browser(client):
    response = client.get("/manifest.webmanifest", headers={"accept-language": "de"})
    deactivate()

    told = json.loads(response.content)
    assert (told["lang"], told["description"][:8]) == ("de", "Ein Chat")
    assert "Accept-Language" in response["Vary"]


def test_a_manifest_asks_neither_who_one_is_nor_the_database(client, django_assert_num_queries, db):
    with django_assert_num_queries(0):
        response = client.get("/manifest.webmanifest")

    assert not response.cookies
    assert response["Cache-Control"] == "max-age=3600"


def test_the_colours_around_the_page_are_those_of_the_page():
    tokens = (settings.BASE_DIR / "static/css/tokens.css").read_text()
    paper = re.search(r"--paper: light-dark\((#\w+), (#\w+)\)", tokens)
    base = (settings.BASE_DIR / "templates/base.html").read_text()

    assert paper is not None
    assert re.findall(r'theme-color" content="(#\w+)"', base) == list(paper.groups())


def test_each_page_has_the_script_of_the_theme_before_its_styles(client, db):
    page = client.get("/accounts/login/").content.decode()

    assert 0 < page.index("early/theme.js") < page.index('rel="stylesheet"')
    assert 'rel="manifest" href="/manifest.webmanifest"' in page
