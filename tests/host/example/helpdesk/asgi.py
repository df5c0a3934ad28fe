import os

from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "helpdesk.settings")
django = get_asgi_application()

from warmcache.asgi import with_lifespan  # noqa: E402 - Django first

application = with_lifespan(django)
