"""Static files, the host that a request names, and the content security policy of each kind of page."""

import os

from csp.middleware import CSPMiddleware, PolicyParts
from django.contrib.staticfiles import finders
from django.http import HttpRequest, HttpResponseBase, HttpResponsePermanentRedirect
from django.middleware.common import CommonMiddleware
from servestatic.middleware import ServeStaticMiddleware

ADMIN_PREFIX = "/admin/"
PROBES = ("/healthz", "/readyz")
# Django's admin writes through HTML sinks (jQuery, inlines.js), which Trusted Types would forbid.
ADMIN_DIRECTIVES = {
    "trusted-types": None,
    "require-trusted-types-for": None,
    "img-src": ["'self'", "data:"],
}


class StaticFilesMiddleware(ServeStaticMiddleware):
    """ServeStatic, but before `collectstatic` it finds each file on request instead of listing all at the start.

    The npm packages hold a thousand files that no page uses.
    """

    def add_files_from_finders(self) -> None:
        for finder in finders.get_finders():
            for storage in getattr(finder, "storages", {}).values():
                inner = getattr(storage, "prefix", "") or ""
                prefix = f"{self.static_prefix}{inner}/" if inner else self.static_prefix
                if os.path.isdir(storage.location):
                    self.insert_directory(storage.location, prefix)


class HostMiddleware(CommonMiddleware):
    """Refuses requests for a host that is not ours, except probes: a health check asks each process by its address."""

    def process_request(self, request: HttpRequest) -> HttpResponsePermanentRedirect | None:
        return None if request.path_info in PROBES else super().process_request(request)


class ContentSecurityMiddleware(CSPMiddleware):
    """Sends the chat's strict policy everywhere; in the admin without Trusted Types."""

    def get_policy_parts(
        self, request: HttpRequest, response: HttpResponseBase, report_only: bool = False
    ) -> PolicyParts:
        parts = super().get_policy_parts(request, response, report_only)
        if request.path_info.startswith(ADMIN_PREFIX):
            parts.replace = {**(parts.replace or {}), **ADMIN_DIRECTIVES}
        return parts
