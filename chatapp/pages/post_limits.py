"""How many forms and uploads one person and one address may send to this process: beyond that, 429.

A person's own bucket comes first, so that one person behind an address with many does not use up what is theirs.
"""

import math
import time
from collections import OrderedDict
from collections.abc import Callable

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render

from chatapp.protocol.limits import LIMITS
from chatapp.quotas.token_bucket import TokenBucket

MAX_BUCKETS = 20_000
"""The least recently used one is forgotten first."""

FREE = ("GET", "HEAD", "OPTIONS", "TRACE")


class Buckets:
    """One bucket for each name."""

    def __init__(self, *, capacity: float, per_second: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._capacity = capacity
        self._per_second = per_second
        self._clock = clock
        self._buckets: OrderedDict[str, TokenBucket] = OrderedDict()

    def wait_seconds(self, name: str) -> float:
        """Takes from the bucket of this name and returns 0, or returns the time until there is something in it."""
        bucket = self._buckets.get(name)
        if bucket is None:
            bucket = TokenBucket(capacity=self._capacity, per_second=self._per_second, clock=self._clock)
        self._buckets[name] = bucket
        self._buckets.move_to_end(name)
        if len(self._buckets) > MAX_BUCKETS:
            self._buckets.popitem(last=False)
        return 0.0 if bucket.take() else bucket.wait_seconds

    def clear(self) -> None:
        self._buckets.clear()


of_persons = Buckets(capacity=LIMITS["post_burst"], per_second=LIMITS["posts_per_second"])
of_addresses = Buckets(capacity=LIMITS["address_post_burst"], per_second=LIMITS["address_posts_per_second"])


class PostLimitMiddleware:
    """After Django's authentication, which it needs."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if request.method in FREE:
            return self._get_response(request)
        seconds = of_persons.wait_seconds(str(request.user.pk)) if request.user.is_authenticated else 0.0
        seconds = seconds or of_addresses.wait_seconds(request.META.get("REMOTE_ADDR", ""))
        return _refusal(request, math.ceil(seconds)) if seconds else self._get_response(request)


def _refusal(request: HttpRequest, seconds: int) -> HttpResponse:
    if "text/html" in request.headers.get("Accept", ""):
        response = render(request, "429.html", {"seconds": seconds}, status=429)
    else:
        message = f"Too many requests at once. Try again in {seconds} s."
        response = JsonResponse({"message": message}, status=429)
    response.headers["Retry-After"] = str(seconds)
    return response
