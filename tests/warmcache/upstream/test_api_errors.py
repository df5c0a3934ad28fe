"""Every way in which the API, or something before it, says no: as a code, and as words for a person."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anthropic
import httpx2
import pytest
from aiohttp import web

from tests.warmcache.upstream.endpoints import serving
from warmcache.conf import Config
from warmcache.core.errors import PrewarmRefused, StreamBroken, UpstreamError, UpstreamRefused, UpstreamUnavailable
from warmcache.core.failures import Failure
from warmcache.core.prefix import build_request
from warmcache.testing import KEY, make_prompt, make_turn
from warmcache.upstream.anthropic import MessagesProvider
from warmcache.upstream.api_errors import as_upstream_error

REQUEST = build_request(make_prompt(), make_turn(), KEY)
WARM_UP = build_request(make_prompt(), None, KEY)
PAGE = "<html><body><h1>403 Forbidden</h1><p>cloud proxy</p></body></html>"


def said(kind: str, message: str, error_code: str | None = None) -> dict[str, Any]:
    error: dict[str, Any] = {"type": kind, "message": message}
    if error_code is not None:
        error["details"] = {"error_code": error_code}
    return {"type": "error", "error": error}


def invalid(message: str, error_code: str | None = None) -> dict[str, Any]:
    return said("invalid_request_error", message, error_code)


REFUSALS: list[tuple[str, int, Any, str, str]] = [
    ("prompt too long", 400, invalid("prompt is too long: 207791 tokens > 200000 maximum"), "prompt_too_large", "edit"),
    (
        "no room for the reply",
        400,
        invalid("input length and `max_tokens` exceed context limit: 188240 + 21333 > 200000, decrease input length"),
        "prompt_too_large",
        "room for a reply",
    ),
    ("body too large", 413, said("request_too_large", "Request exceeds the maximum size"), "prompt_too_large", "chat"),
    ("body too large, a page", 413, "<html>413</html>", "prompt_too_large", "new chat"),
    (
        "no credit",
        400,
        invalid("Your credit balance is too low to access the Anthropic API. Please go to Plans & Billing."),
        "spend_limit",
        "no credit",
    ),
    ("own limit", 400, invalid("You have reached your specified API usage limits."), "spend_limit", "limit"),
    ("cap", 429, said("rate_limit_error", "Reached.", "enforced_spend_limit_reached"), "spend_limit", "limit"),
    ("contract", 429, said("rate_limit_error", "Reached.", "contract_spend_limit_reached"), "spend_limit", "limit"),
    ("billing", 402, said("billing_error", "There is an issue with your billing."), "spend_limit", "billing"),
    ("wrong key", 401, said("authentication_error", "invalid x-api-key"), "key_refused", "ANTHROPIC_API_KEY"),
    ("permission", 403, said("permission_error", "Your key may not use this model."), "access_refused", "permission"),
    ("region", 403, said("forbidden", "Request not allowed"), "access_refused", "region"),
    ("firewall", 403, PAGE, "access_refused", "firewall"),
    ("unknown model", 404, said("not_found_error", "model: claude-none"), "model_not_found", "model"),
    ("a wrong address", 404, "<html>Not Found</html>", "wrong_address", "ANTHROPIC_BASE_URL"),
    ("a wrong address, JSON", 404, {"detail": "Not Found"}, "wrong_address", "ANTHROPIC_BASE_URL"),
    ("a wrong method", 405, "<html>Not allowed</html>", "wrong_address", "ANTHROPIC_BASE_URL"),
    ("anything else", 400, invalid("messages: at least one message is required"), "request_refused", "log"),
    ("a gateway's", 422, {"detail": [{"msg": "field required"}]}, "request_refused", "log"),
]
PASSING: list[tuple[str, int, Any, str]] = [
    ("too many requests", 429, said("rate_limit_error", "Too many."), "rate_limited"),
    ("a ramp", 429, said("rate_limit_error", "Too steep.", "ramp_limit_exceeded"), "rate_limited"),
    ("too many, a page", 429, "<html>slow down</html>", "rate_limited"),
    ("overloaded", 529, said("overloaded_error", "Overloaded"), "overloaded"),
    ("an error of its own", 500, said("api_error", "Internal server error"), "server_error"),
    ("a gateway without a server", 502, "<html>Bad gateway</html>", "server_error"),
    ("a late gateway", 504, said("timeout_error", "Timed out"), "server_error"),
]


def names(rows: list[Any]) -> list[str]:
    return [row[0] for row in rows]


@pytest.mark.parametrize(("_name", "status", "body", "code", "word"), REFUSALS, ids=names(REFUSALS))
def test_a_refusal_says_what_it_is_and_whom_to_ask(_name: str, status: int, body: Any, code: str, word: str) -> None:
    error = as_upstream_error(answered(status, body), has_begun=False)

    assert (type(error), error.code, error.is_retryable) == (UpstreamRefused, code, False)
    assert word in error.message
    assert error.message.endswith(".")
    assert Failure(code)


@pytest.mark.parametrize(("_name", "status", "body", "code"), PASSING, ids=names(PASSING))
def test_trouble_that_passes_may_be_tried_again(_name: str, status: int, body: Any, code: str) -> None:
    error = as_upstream_error(answered(status, body), has_begun=False)

    assert (type(error), error.code, error.is_retryable) == (UpstreamUnavailable, code, True)


@pytest.mark.parametrize(
    ("body", "code", "is_retryable"),
    [
        (said("overloaded_error", "Overloaded"), "overloaded", True),
        (said("api_error", "Oops"), "server_error", True),
        (said("rate_limit_error", "Too many."), "rate_limited", True),
        (invalid("Output blocked by content filtering policy"), "request_refused", False),
        (invalid("prompt is too long: 9 tokens > 8 maximum"), "prompt_too_large", False),
        (said("authentication_error", "revoked"), "key_refused", False),
        (said("permission_error", "no"), "access_refused", False),
    ],
    ids=lambda value: value["error"]["type"] if isinstance(value, dict) else None,
)
def test_an_error_after_the_beginning_breaks_a_reply_that_has_begun(
    body: dict[str, Any], code: str, is_retryable: bool
) -> None:
    error = as_upstream_error(answered(200, body), has_begun=True)

    assert (type(error), error.code, error.is_retryable) == (StreamBroken, code, is_retryable)
    assert error.message.endswith("The reply broke off.")


@pytest.mark.parametrize(
    ("content_type", "text", "code"),
    [
        ("text/html", "<h1>Welcome</h1>", "not_the_api"),
        ("application/json", '{"hello": "you"}', "not_the_api"),
        ("application/json; charset=utf-8", json.dumps(said("overloaded_error", "Overloaded")), "overloaded"),
        ("application/json", json.dumps(said("permission_error", "no")), "access_refused"),
    ],
)
async def test_a_success_that_is_no_stream_is_not_read_as_one(content_type: str, text: str, code: str) -> None:
    async with provider_for(content_type, text) as provider:
        with pytest.raises(UpstreamError) as raised:
            async with provider.stream(REQUEST, max_tokens=100) as events:
                async for _ in events:
                    pass

    assert raised.value.code == code


async def test_a_warm_up_that_a_page_answers_did_not_reach_the_api() -> None:
    async with provider_for("text/html", "<h1>Welcome</h1>") as provider:
        with pytest.raises(UpstreamUnavailable) as raised:
            await provider.prewarm(WARM_UP)

    assert raised.value.code == "not_the_api"


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (400, invalid("max_tokens: Input should be greater than or equal to 1")),
        (400, {"detail": "`max_tokens` must be a positive integer"}),
        (400, {"error": {"message": "Invalid value for 'max_tokens': integer below minimum", "code": None}}),
        (422, {"detail": [{"loc": ["body", "max_tokens"], "msg": "Input should be greater than 0"}]}),
        (422, {"message": "Unprocessable"}),
    ],
)
async def test_a_gateway_that_takes_no_zero_refuses_warm_ups_and_nothing_else(status: int, body: Any) -> None:
    async with provider_for("application/json", json.dumps(body), status=status) as provider:
        with pytest.raises(PrewarmRefused) as raised:
            await provider.prewarm(WARM_UP)
        with pytest.raises(UpstreamRefused) as of_reply:
            async with provider.stream(REQUEST, max_tokens=100):
                pass

    assert raised.value.code == of_reply.value.code == "request_refused"
    assert str(status) in raised.value.message, "the operator reads the gateway's own words"
    assert type(of_reply.value) is UpstreamRefused


@pytest.mark.parametrize(
    "message",
    [
        "input length and `max_tokens` exceed context limit: 9 + 9 > 10",
        "messages: at least one message is required",
        "You have reached your specified API usage limits. max_tokens",
    ],
)
async def test_another_refusal_of_a_warm_up_says_nothing_about_the_endpoint(message: str) -> None:
    async with provider_for("application/json", json.dumps(invalid(message)), status=400) as provider:
        with pytest.raises(UpstreamRefused) as raised:
            await provider.prewarm(WARM_UP)

    assert type(raised.value) is UpstreamRefused


def answered(status: int, body: Any) -> anthropic.APIStatusError:
    """The SDK's own error for this answer."""
    text = body if isinstance(body, str) else json.dumps(body)
    response = httpx2.Response(status, text=text, request=httpx2.Request("POST", "https://api.test/v1/messages"))
    if status == 200:
        return anthropic.APIStatusError(text, response=response, body=body)
    return anthropic.AsyncAnthropic(api_key="k")._make_status_error_from_response(response)


@asynccontextmanager
async def provider_for(content_type: str, text: str, *, status: int = 200) -> AsyncIterator[MessagesProvider]:
    async def answer(request: web.Request) -> web.Response:
        return web.Response(status=status, body=text.encode(), headers={"content-type": content_type})

    async with serving(answer) as url:
        provider = MessagesProvider(Config(api_key="k", base_url=url))
        try:
            yield provider
        finally:
            await provider.aclose()
