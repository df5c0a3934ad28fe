"""Static files, the host that a request names, how much it may hold, and the content security policy of its page."""

import asyncio
import os
from collections.abc import Awaitable, Callable

from csp.middleware import CSPMiddleware, PolicyParts
from django.conf import settings
from django.contrib.staticfiles import finders
from django.http import HttpRequest, HttpResponse, HttpResponseBase, HttpResponsePermanentRedirect, JsonResponse
from django.middleware.common import CommonMiddleware
from django.shortcuts import render
from django.utils.deprecation import MiddlewareMixin
from servestatic.middleware import ServeStaticMiddleware

from chatapp import front_end
from chatapp.conversations import attachments

ADMIN_PREFIX = f"/{settings.ADMIN_PATH}/"
PROBES = ("/healthz", "/readyz")
UPLOAD_PATH = "/attachments/"
# Size of what surrounds a file in a form.
MULTIPART_BYTES = 16 * 1024
# Django's admin writes through HTML sinks (jQuery, inlines.js), which Trusted Types would forbid.
ADMIN_DIRECTIVES = {
    "trusted-types": None,
    "require-trusted-types-for": None,
    "img-src": ["'self'", "data:"],
}


class StaticFilesMiddleware(ServeStaticMiddleware):
    """ServeStatic, but before `collectstatic` it finds each file on request instead of listing all at the start: the
    npm packages hold a thousand files that no page uses.

    After it, the files of other releases are served too: those of the one before are still there, and those of the next
    may come while this process runs. During an upgrade, a page and its files come from different processes.
    """

    def __init__(self, get_response: Callable[[HttpRequest], Awaitable[HttpResponseBase]] | None = None) -> None:
        super().__init__(get_response)
        if settings.KEPT_STATIC_ROOT:
            self.insert_directory(str(settings.KEPT_STATIC_ROOT), self.static_prefix)
        # Remembers it as it is now: a new one may be collected while this process runs.
        front_end.release()

    async def __call__(self, request: HttpRequest) -> HttpResponseBase:
        path = request.path_info
        is_ours = self.autorefresh or path in self.files or not path.startswith(self.static_prefix)
        if not is_ours and front_end.HASHED_NAME.search(path):
            found = await asyncio.to_thread(self.find_file, path)
            if found is not None:
                self.files[path] = found
        return await super().__call__(request)

    def immutable_file_test(self, path: str, url: str) -> bool:
        return bool(super().immutable_file_test(path, url) or front_end.HASHED_NAME.search(url))

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


MAX_BODY_BYTES = 1024 * 1024


def too_large(request: HttpRequest) -> HttpResponse | None:
    """The refusal of a body that is too large for its sender and path; None if it may be read."""
    try:
        size_bytes = int(request.META.get("CONTENT_LENGTH") or 0)
    except ValueError:
        size_bytes = 0
    if size_bytes <= MAX_BODY_BYTES:
        return None
    if request.path_info == UPLOAD_PATH:
        refusal = attachments.too_large()
        is_refused = size_bytes > attachments.MAX_FILE_BYTES + MULTIPART_BYTES
        return JsonResponse({"message": refusal.message}, status=refusal.status) if is_refused else None
    is_for_staff = request.path_info.startswith(ADMIN_PREFIX) and request.user.is_active and request.user.is_staff
    limit_bytes = settings.DATA_UPLOAD_MAX_MEMORY_SIZE if is_for_staff else MAX_BODY_BYTES
    if size_bytes <= limit_bytes:
        return None
    return render(request, "413.html", {"limit_mb": limit_bytes // 1024**2}, status=413)


class BodyLimitMiddleware(MiddlewareMixin):
    """Refuses bodies that are too large before anything reads them: the CSRF check would, even of a stranger."""

    def process_request(self, request: HttpRequest) -> HttpResponse | None:
        return too_large(request)
