"""What every template knows."""

from django.http import HttpRequest


def upstream(request: HttpRequest) -> dict[str, str]:
    return {"upstream": "simulator"}
