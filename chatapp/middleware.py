"""The content security policy of each kind of page."""

from csp.middleware import CSPMiddleware, PolicyParts
from django.http import HttpRequest, HttpResponseBase

# Django's admin writes through HTML sinks (jQuery, inlines.js), which Trusted Types would forbid.
ADMIN_DIRECTIVES = {
    "trusted-types": None,
    "require-trusted-types-for": None,
    "img-src": ["'self'", "data:"],
}


class ContentSecurityMiddleware(CSPMiddleware):
    """The chat's strict policy everywhere; in the admin without Trusted Types."""

    def get_policy_parts(
        self, request: HttpRequest, response: HttpResponseBase, report_only: bool = False
    ) -> PolicyParts:
        parts = super().get_policy_parts(request, response, report_only)
        if request.path.startswith("/admin/"):
            parts.replace = {**(parts.replace or {}), **ADMIN_DIRECTIVES}
        return parts
