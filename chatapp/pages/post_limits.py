"""How many forms and uploads one person and one address may send, and how many shared pages one address may read:
beyond that, 429.

A person's own bucket comes first, so that one person behind an address with many does not use up what is theirs. This
process's buckets decide first, then those over all processes, where there is Redis: one round trip per form.
"""

import math
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence

from asgiref.sync import async_to_sync
from django.conf import settings
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.utils.translation import gettext

from chatapp.process.addresses import counted_as
from chatapp.protocol.limits import LIMITS
from chatapp.quotas import common_buckets
from chatapp.quotas.common_buckets import Bucket
from chatapp.quotas.common_places import of_address, of_person
from chatapp.quotas.token_bucket import TokenBucket

MAX_BUCKETS = 20_000
"""The least recently used one is forgotten first."""

FREE = ("GET", "HEAD", "OPTIONS", "TRACE")
COUNTED = ("/accounts/oidc/back/",)
"""What counts although it is read: we ask the OpenID Connect provider for each."""


class Buckets:
    """One bucket for each name."""

    def __init__(self, *, capacity: float, per_second: float, clock: Callable[[], float] = time.monotonic) -> None:
        self.capacity = capacity
        self.per_second = per_second
        self._clock = clock
        self._buckets: OrderedDict[str, TokenBucket] = OrderedDict()

    def wait_seconds(self, name: str) -> float:
        """Takes from the bucket of this name and returns 0, or returns the time until there is something in it."""
        bucket = self._buckets.get(name)
        if bucket is None:
            bucket = TokenBucket(capacity=self.capacity, per_second=self.per_second, clock=self._clock)
        self._buckets[name] = bucket
        self._buckets.move_to_end(name)
        if len(self._buckets) > MAX_BUCKETS:
            self._buckets.popitem(last=False)
        return 0.0 if bucket.take() else bucket.wait_seconds

    def clear(self) -> None:
        self._buckets.clear()


of_persons = Buckets(capacity=LIMITS["post_burst"], per_second=LIMITS["posts_per_second"])
of_addresses = Buckets(capacity=LIMITS["address_post_burst"], per_second=LIMITS["address_posts_per_second"])
of_readers = Buckets(capacity=LIMITS["shared_page_burst"], per_second=LIMITS["shared_pages_per_second"])


class PostLimitMiddleware:
    """After Django's authentication, which it needs."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if request.method in FREE and request.path_info not in COUNTED:
            return self._get_response(request)
        return refusal(request) or self._get_response(request)


def refusal(request: HttpRequest) -> HttpResponse | None:
    """Of a form, and of a question that costs as much to answer; None if there is something in each bucket."""
    names = [(of_addresses, _address_of(request))]
    if request.user.is_authenticated:
        names.insert(0, (of_persons, of_person(request.user.pk)))
    return _refusal(request, names)


def refusal_of_reader(request: HttpRequest) -> HttpResponse | None:
    """For pages that anybody may read without signing in: who asks for many of them guesses addresses."""
    return _refusal(request, [(of_readers, f"reader {_address_of(request)}")])


def _refusal(request: HttpRequest, names: Sequence[tuple[Buckets, str]]) -> HttpResponse | None:
    seconds = _wait_seconds(names)
    return _refused(request, math.ceil(seconds)) if seconds else None


def _address_of(request: HttpRequest) -> str:
    return of_address(counted_as(request.META.get("REMOTE_ADDR", "")))


def _wait_seconds(names: Sequence[tuple[Buckets, str]]) -> float:
    for buckets, name in names:
        if seconds := buckets.wait_seconds(name):
            return seconds
    if not settings.REDIS_URL:
        return 0.0
    common = [Bucket(name=name, capacity=each.capacity, per_second=each.per_second) for each, name in names]
    return async_to_sync(common_buckets.wait_seconds)(common)


def _refused(request: HttpRequest, seconds: int) -> HttpResponse:
    if "text/html" in request.headers.get("Accept", ""):
        response = render(request, "429.html", {"seconds": seconds}, status=429)
    else:
        message = gettext("Too many requests at once. Try again in %(seconds)d s.") % {"seconds": seconds}
        response = JsonResponse({"message": message}, status=429)
    response.headers["Retry-After"] = str(seconds)
    return response
