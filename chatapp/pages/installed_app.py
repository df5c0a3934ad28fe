"""What a browser needs to install the chat as an app of its own.

There is no service worker: browsers need none to install a page, and say themselves that it is offline. Nothing of a
person is kept beside what the page itself keeps.
"""

from django.http import HttpRequest, JsonResponse
from django.templatetags.static import static
from django.urls import reverse
from django.utils.translation import get_language, gettext
from django.views.decorators.cache import cache_control
from django.views.decorators.http import require_GET

ICONS = (
    ("img/favicon.svg", "any", "image/svg+xml", "any"),
    ("img/icon-192.png", "192x192", "image/png", "any"),
    ("img/icon-512.png", "512x512", "image/png", "any"),
    ("img/icon-maskable-512.png", "512x512", "image/png", "maskable"),
)
PAPER = "#fbfaf8"
"""`--paper` of static/css/tokens.css, in light: a manifest knows no other."""


@require_GET
@cache_control(max_age=3600)
def manifest(request: HttpRequest) -> JsonResponse:
    """Everybody may read it: browsers fetch it without cookies."""
    home = reverse("home")
    described = {
        "id": home,
        "start_url": home,
        "scope": home,
        "name": "Warmcache",
        "short_name": "Warmcache",
        "lang": get_language(),
        "description": gettext("A chat that has read your documents before you press Enter."),
        "display": "standalone",
        "theme_color": PAPER,
        "background_color": PAPER,
        "icons": [
            {"src": static(name), "sizes": sizes, "type": kind, "purpose": purpose}
            for name, sizes, kind, purpose in ICONS
        ],
    }
    return JsonResponse(described, content_type="application/manifest+json")
