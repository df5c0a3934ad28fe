"""The app's registration with Django."""

from django.apps import AppConfig
from django.contrib.admin import apps as admin
from django.contrib.staticfiles import apps as staticfiles
from django.utils.translation import gettext_lazy as _


class ChatAdminConfig(admin.AdminConfig):
    """Django's admin, on a site of our own."""

    default = False
    default_site = "chatapp.pages.admin_site.ChatAdminSite"


class ChatStaticFilesConfig(staticfiles.StaticFilesConfig):
    """`collectstatic` without the folders of npm packages that no page loads from: four of five files."""

    default = False
    ignore_patterns = [*staticfiles.StaticFilesConfig.ignore_patterns, "languages", "styles", "contrib"]


class ChatappConfig(AppConfig):
    default = True
    name = "chatapp"
    verbose_name = _("Chat")

    def ready(self) -> None:
        from chatapp import checks, model_translation  # noqa: F401  checks register themselves
        from chatapp.accounts import session_ends, sign_in_limits
        from chatapp.process import warm_metrics
        from chatapp.warming import assistant_edits, assistant_layers
        from warmcache.services import register_shared_layers

        model_translation.translate(self.get_models())
        session_ends.watch()
        sign_in_limits.watch()
        assistant_edits.watch()
        warm_metrics.watch()
        register_shared_layers(assistant_layers.listed)
