"""One simulated provider: its state, and how it handles each request."""

import asyncio
import hashlib
import json
import re
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from aiohttp import web

from warmcache.core.catalog import ModelFacts
from warmcache.simulator.delivery import EXCHANGE, Delivery
from warmcache.simulator.diagnosis import Diagnosis
from warmcache.simulator.engine import CacheUsage, Engine, Plan
from warmcache.simulator.errors import ApiError, invalid
from warmcache.simulator.faults import FaultQueue
from warmcache.simulator.journal import Exchange, Journal
from warmcache.simulator.latency import AUTO, LatencyModel
from warmcache.simulator.limits import Limits, RateLimiter
from warmcache.simulator.model_info import find_model, model_page
from warmcache.simulator.prompt import Prompt, read_prompt
from warmcache.simulator.replies import Reply, ReplyWriter, cap, stop_at
from warmcache.simulator.scripts import Script, ScriptQueue
from warmcache.simulator.thinking import check_thinking_is_preserved, conversation_digest
from warmcache.simulator.titles import asks_for_title
from warmcache.simulator.tokenizers import RULE_OF_THUMB
from warmcache.simulator.validation import API_VERSIONS, check_count, check_create, check_window
from warmcache.simulator.wire import MessageHead, complete_json, message_json, usage_json, warm_up_json

MAX_BODY_BYTES = 32 * 1024 * 1024
_ID_ALPHABET = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_OUTPUT_FORMAT_BETA = "structured-outputs-"
_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How the simulated provider behaves."""

    profile: str = AUTO
    noise: float = 0.25
    seed: int = 1
    api_keys: frozenset[str] = frozenset()
    """Accepted keys; if empty, any key that does not look invalid."""
    limits: Limits = field(default_factory=Limits)
    renders_config_first: bool = False
    abandoned_calls_write: bool = False
    tokenizer: str = RULE_OF_THUMB
    """How it counts text: see `simulator/tokenizers.py`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Call:
    """One accepted request until its answer."""

    body: dict[str, Any]
    facts: ModelFacts
    prompt: Prompt
    plan: Plan
    delivery: Delivery
    head: MessageHead


class Simulator:
    """All state of one simulated provider, and the handlers on top of it."""

    def __init__(
        self,
        options: Options | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self.options = options or Options()
        self.faults = FaultQueue()
        self.scripts = ScriptQueue()
        self.journal = Journal(wall_clock=wall_clock)
        self.engine = Engine(
            clock=clock,
            latency=LatencyModel(self.options.profile, noise=self.options.noise, seed=self.options.seed),
            seed=self.options.seed,
            abandoned_calls_write=self.options.abandoned_calls_write,
        )
        self.limiter = RateLimiter(self.options.limits, clock=clock, wall_clock=wall_clock)
        self._diagnosis = Diagnosis(clock=self.engine.now)
        self._writer = ReplyWriter(seed=self.options.seed)

    def reset(self) -> None:
        """Restores the initial state."""
        self.engine.reset()
        self.faults.clear()
        self.scripts.clear()
        self.journal.clear()
        self.limiter.reset()
        self._diagnosis.reset()

    async def create_message(self, request: web.Request) -> web.StreamResponse:
        """`POST /v1/messages`."""
        delivery, at = self._open(request)
        plan: Plan | None = None
        try:
            body = await self._read_body(request, delivery.exchange)
            is_warm_up = body.get("max_tokens") == 0 and body.get("max_tokens") is not False
            delivery.exchange.is_warm_up = is_warm_up
            delivery.fault = self.faults.take(is_warm_up=is_warm_up)
            delivery.exchange.fault = delivery.fault.kind if delivery.fault else None
            await delivery.trouble_before_headers(is_stream=bool(body.get("stream")))
            call = self._begin(body, delivery, at)
            plan = call.plan
            response = await (self._warm_up(call) if is_warm_up else self._reply(call))
        except (asyncio.CancelledError, ConnectionResetError):
            delivery.note("hung_up")
            if plan is not None and "began" not in delivery.exchange.timings_ms:
                self.engine.abandon(plan)
            raise
        delivery.note("finished")
        delivery.exchange.status = response.status
        return response

    async def count_tokens(self, request: web.Request) -> web.StreamResponse:
        """`POST /v1/messages/count_tokens`."""
        delivery, _ = self._open(request)
        body = await self._read_body(request, delivery.exchange)
        facts = check_count(body, request.headers["anthropic-version"])
        prompt = self._prompt(request, body, facts)
        delivery.exchange.status = 200
        return web.json_response({"input_tokens": prompt.total_tokens})

    async def list_models(self, request: web.Request) -> web.StreamResponse:
        """`GET /v1/models`."""
        delivery, _ = self._open(request)
        delivery.exchange.status = 200
        lifecycles = request.query.getall("lifecycle", []) + request.query.getall("lifecycle[]", [])
        return web.json_response(model_page(dict(request.query), lifecycles))

    async def get_model(self, request: web.Request) -> web.StreamResponse:
        """`GET /v1/models/{id}`."""
        delivery, _ = self._open(request)
        model = find_model(request.match_info["model"])
        delivery.exchange.status = 200
        return web.json_response(model)

    def _open(self, request: web.Request) -> tuple[Delivery, float]:
        """Records the request's start, then checks its headers."""
        at = self.engine.now()
        started = asyncio.get_running_loop().time()
        exchange = self.journal.open(request.method, request.path, dict(request.headers))
        exchange.request_id = f"req_{new_id()}"
        request[EXCHANGE] = exchange
        key = _key_of(request)
        exchange.workspace_id = request.headers.get("anthropic-workspace-id") or _workspace_of(key)
        self._check_key(key)
        version = request.headers.get("anthropic-version")
        if version is None:
            raise invalid("anthropic-version: header is required")
        if version not in API_VERSIONS:
            raise invalid(f'anthropic-version: "{version}" is not a valid version')
        return Delivery(
            request=request, exchange=exchange, started=started, headers={}, released=self.faults.released
        ), at

    def _check_key(self, key: str) -> None:
        if not key:
            raise ApiError(401, "x-api-key header is required")
        known = not self.options.api_keys or key in self.options.api_keys
        if not known or key == "invalid" or key.startswith("sk-invalid"):
            raise ApiError(401, "invalid x-api-key")

    async def _read_body(self, request: web.Request, exchange: Exchange) -> dict[str, Any]:
        if (request.content_length or 0) > MAX_BODY_BYTES:
            raise ApiError(413, "Request exceeds the maximum size")
        raw = await request.read()
        self.journal.keep_body(exchange, raw)
        return _with_output_config(_parse(raw), _betas_of(request))

    def _prompt(self, request: web.Request, body: dict[str, Any], facts: ModelFacts) -> Prompt:
        prompt = read_prompt(
            body,
            facts,
            betas=_betas_of(request),
            renders_config_first=self.options.renders_config_first,
            tokenizer=self.options.tokenizer,
        )
        check_window(prompt.total_tokens, facts)
        return prompt

    def _begin(self, body: dict[str, Any], delivery: Delivery, at: float) -> _Call:
        exchange = delivery.exchange
        request = delivery.request
        facts = check_create(body, request.headers["anthropic-version"], _betas_of(request))
        check_thinking_is_preserved(body, facts)
        prompt = self._prompt(request, body, facts)
        fault = delivery.fault.kind if delivery.fault else ""
        if fault == "evict":
            self.engine.evict()
        self.limiter.admit(facts.model, self.engine.usage_of(prompt, scope=exchange.workspace_id, at=at))
        plan = self.engine.begin(prompt, scope=exchange.workspace_id, at=at)
        if fault == "zero_counters":
            plan = replace(plan, usage=CacheUsage(input_tokens=prompt.total_tokens), writes=())
        if fault == "slow" and delivery.fault is not None:
            plan = replace(plan, ttft_seconds=plan.ttft_seconds + (delivery.fault.seconds or 0))
        exchange.message_id = f"msg_{new_id()}"
        head = MessageHead(
            message_id=exchange.message_id,
            model=facts.model,
            diagnostics=self._diagnosis.compare(body.get("diagnostics"), exchange.message_id, prompt, plan),
            inference_geo=body.get("inference_geo") or "global",
        )
        return _Call(body=body, facts=facts, prompt=prompt, plan=plan, delivery=delivery, head=head)

    async def _warm_up(self, call: _Call) -> web.StreamResponse:
        """`max_tokens: 0`: prefill only. The entries become readable when the answer is sent."""
        await asyncio.gather(
            asyncio.to_thread(self._writer.prepare, call.body),
            call.delivery.wait_until(call.plan.ttft_seconds),
        )
        self._respond(call, usage_json(call.head, call.plan.usage, output_tokens=0), call.plan.ttft_seconds)
        return await call.delivery.send_json(warm_up_json(call.head, call.plan.usage))

    async def _reply(self, call: _Call) -> web.StreamResponse:
        # A script is meant for a person's message, not for the request that names the conversation beside it.
        script = None if asks_for_title(call.body) else self.scripts.take()
        reply = await asyncio.to_thread(self._compose, call, script)
        begins = call.plan.ttft_seconds if reply.ttft_seconds is None else reply.ttft_seconds
        rate = reply.tokens_per_second or self.engine.latency.profile(call.facts.model).tokens_per_second
        await call.delivery.wait_until(begins)
        self.limiter.count_output(call.facts.model, reply.output_tokens)
        usage = usage_json(
            call.head, call.plan.usage, output_tokens=reply.output_tokens, thinking_tokens=reply.thinking_tokens
        )
        self._respond(call, usage, begins + reply.silent_tokens / rate)
        if call.body.get("stream"):
            return await call.delivery.send_stream(
                message_json(call.head, usage_json(call.head, call.plan.usage, output_tokens=1)),
                reply,
                begins_seconds=begins,
                chars_per_token=call.facts.chars_per_token,
                tokens_per_second=rate,
            )
        await call.delivery.wait_until(begins + reply.output_tokens / rate)
        return await call.delivery.send_json(complete_json(call.head, call.plan.usage, reply))

    def _compose(self, call: _Call, script: Script | None) -> Reply:
        bound_to = conversation_digest(call.body)
        tool_use_id = f"toolu_{new_id()}"
        if script is not None:
            reply = script.reply(call.facts, bound_to=bound_to, new_id=tool_use_id)
        else:
            reply = self._writer.compose(
                call.body,
                call.facts,
                input_tokens=call.prompt.total_tokens,
                bound_to=bound_to,
                tool_use_id=tool_use_id,
            )
        reply = stop_at(reply, call.body.get("stop_sequences") or [], call.facts)
        room = call.facts.context_tokens - call.prompt.total_tokens
        return cap(reply, call.facts, max_tokens=call.body["max_tokens"], room_tokens=max(1, room))

    def _respond(self, call: _Call, usage: dict[str, Any], ttft_seconds: float) -> None:
        """The response begins now: makes the entries readable, fills in headers and journal."""
        self.engine.respond(call.plan)
        delivery = call.delivery
        delivery.note("began")
        exchange = delivery.exchange
        exchange.usage = usage
        exchange.simulated_ttft_ms = round(ttft_seconds * 1000, 3)
        delivery.headers.update(
            {"x-simulated-ttft-ms": f"{exchange.simulated_ttft_ms:.3f}"},
            **self.limiter.headers(call.facts.model),
        )


def new_id() -> str:
    """The random part of an id, in the provider's alphabet."""
    return "01" + "".join(secrets.choice(_ID_ALPHABET) for _ in range(22))


def _key_of(request: web.Request) -> str:
    """The key; `x-api-key` wins if both headers are present."""
    key = request.headers.get("x-api-key")
    if key:
        return key
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


def _betas_of(request: web.Request) -> set[str]:
    return {beta.strip() for beta in request.headers.get("anthropic-beta", "").split(",")} - {""}


def _workspace_of(key: str) -> str:
    return f"wrkspc_{hashlib.blake2b(key.encode(errors='replace'), digest_size=12).hexdigest()}"


def _with_output_config(body: dict[str, Any], betas: set[str]) -> dict[str, Any]:
    """`output_format` is what `output_config.format` was called in the beta, and still goes by its header."""
    if "output_format" not in body or not any(beta.startswith(_OUTPUT_FORMAT_BETA) for beta in betas):
        return body
    config = body.get("output_config") or {}
    if not isinstance(config, dict):
        return body
    kept = {key: value for key, value in body.items() if key != "output_format"}
    return {**kept, "output_config": {"format": body["output_format"], **config}}


def _parse(raw: bytes) -> dict[str, Any]:
    try:
        body = json.loads(raw)
        if _SURROGATE.search(raw):
            # Half of a surrogate pair is valid for Python's parser, but not for the API's.
            json.dumps(body, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as error:
        raise invalid(f"The request body is not valid JSON: {error}") from None
    if not isinstance(body, dict):
        raise invalid("The request body is not valid JSON: an object is expected")
    return body
