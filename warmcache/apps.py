"""The app's registration with Django."""

from django.apps import AppConfig


class WarmcacheConfig(AppConfig):
    name = "warmcache"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from warmcache import checks  # noqa: F401 - registers them
