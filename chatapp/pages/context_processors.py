"""Values that every template gets."""

from django.conf import settings
from django.http import HttpRequest

from chatapp.process import upstream as upstreams


def upstream(request: HttpRequest) -> dict[str, str | bool]:
    """Which upstream answers, so that every page can say when it is not the real API."""
    return {
        "upstream": upstreams.name(),
        "has_api_key": bool(settings.ANTHROPIC_API_KEY),
        "local_model_note": settings.LOCAL_MODEL_NOTE,
    }
