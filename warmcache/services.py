"""The public API, for async code. Every function works on the running event loop's runtime. All of it can be imported
from `warmcache` itself.

attempt = await prewarm_prefix(prompt, intent=Intent.TYPING, label="helpdesk", subject="user 7")
async with stream_response(prompt, turn, max_tokens=4096, label="helpdesk") as response:
    async for event in response: ...
"""

import asyncio
import contextlib
import functools
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, replace
from typing import Any, Never, ParamSpec, TypeVar

from warmcache.background.database import in_database_thread
from warmcache.cache.beliefs import Warmth
from warmcache.cache.visits import Occasion
from warmcache.conf import get_config
from warmcache.core import prefix as prefixes
from warmcache.core.answers import AnswerContent
from warmcache.core.decide import Action, Decision
from warmcache.core.errors import StoreUnavailable
from warmcache.core.estimates import NO_SIZE, block_size, sum_of
from warmcache.core.host_words import member_of, word_of
from warmcache.core.intents import Intent
from warmcache.core.origin import Origin
from warmcache.core.outcomes import Purpose
from warmcache.core.prefix import AnyPrompt, Json, LastTurn, Prefix, PreparedPrompt, Prompt, refuse_unknown
from warmcache.learned.forecasts import Learning
from warmcache.operator_policy import policy_in_force, read_row
from warmcache.requests.ending import Ending, Result
from warmcache.requests.relay import RelayedResponse
from warmcache.requests.reported import record_reported, reported_usage
from warmcache.requests.stream import ResponseStream
from warmcache.runtime import wiring as runtimes
from warmcache.runtime.home import at_home, briefly_at_home, is_passing
from warmcache.runtime.state import Runtime, accompany
from warmcache.warmups import counting, keeper, refresh, shared_layers
from warmcache.warmups.attempt import Attempt, consider, prewarm, skipped_attempt
from warmcache.warmups.refresh import Load, Rest
from warmcache.warmups.shared_layers import ListLayers, SharedLayer

__all__ = [
    "Attempt",
    "Decision",
    "Ending",
    "Response",
    "ResponseStream",
    "Result",
    "SharedLayer",
    "Warmth",
    "body_of",
    "cancel_refresh",
    "close",
    "consider_prefix",
    "count_soon",
    "expected_tokens",
    "flush",
    "forget",
    "holder_of",
    "outline",
    "prepare_prompt",
    "prewarm_prefix",
    "register_shared_layers",
    "report",
    "respond",
    "schedule_refresh",
    "start",
    "stream_response",
    "warm_now",
    "warmth_of",
]

MANUAL_PATIENCE_SECONDS = 20.0

P = ParamSpec("P")
T = TypeVar("T")


def _lasting(function: Callable[P, Coroutine[Any, Any, T]]) -> Callable[P, Coroutine[Any, Any, T]]:
    """The same function; called on a loop that does not last (`runtime/home.py`), it runs on the one that does."""

    @functools.wraps(function)
    async def call(*args: P.args, **kwargs: P.kwargs) -> T:
        if not is_passing():
            return await function(*args, **kwargs)
        result = await at_home(function(*args, **kwargs))
        if isinstance(result, Attempt) and (finished := result.finished) is not None:
            return replace(result, finished=lambda: at_home(finished()))
        return result

    return call


def prepare_prompt(prompt: Prompt) -> PreparedPrompt:
    """`prompt` encoded, to be kept and grown (`with_turns`, `with_draft`). Functions that take a prompt take it too,
    and encode and hash only what is new. Callable from any thread. See `warmcache.core.prefix.PreparedPrompt`."""
    return prefixes.prepare(prompt, get_config().prefix_key)


def outline(prompt: AnyPrompt, *, label: str = "") -> Prefix:
    """The cacheable part of a prompt without its content: a few hundred bytes that can be passed to `consider_prefix`
    repeatedly. Hashes all of a prompt that is not prepared, so keep the result until the prompt changes."""
    if is_passing():
        return briefly_at_home(lambda: outline(prompt, label=label))
    return runtimes.get_runtime().build(prompt, None, label=word_of("label", label)).prefix


def expected_tokens(prompt: AnyPrompt, blocks: Sequence[Json] = (), *, label: str = "") -> int:
    """How many tokens `prompt`, followed by these content blocks, is expected to take: what was billed, and of the rest
    what bills of this label let expect. Callable from any thread; in one without an event loop it knows what the
    server's own has learned, or else what is published."""
    more = sum_of(NO_SIZE, *map(block_size, blocks))
    runtime = runtimes.runtime_in_reach()
    if runtime is not None:
        return runtime.expected_tokens(prompt, more, label=label)
    prepared = prompt if isinstance(prompt, PreparedPrompt) else prepare_prompt(prompt)
    nothing_learned = Learning(upstream="", is_on=False)
    return nothing_learned.expected_tokens(label, prepared.settings.model, prepared.last_positions, more)


@_lasting
async def warmth_of(prefix: Prefix) -> Warmth:
    """The believed warmth of a prefix now."""
    return await runtimes.get_runtime().warmth_of(prefix)


@_lasting
async def consider_prefix(
    prefix: Prefix, *, intent: Intent, label: str = "", subject: str = "", chars: int | None = None
) -> Attempt | None:
    """The policy's answer if it is a skip (which is counted), or None if `prewarm_prefix` should be called.

    For hot paths: no SQL, no hashing, one look-up in the store. Parameters as in `prewarm_prefix`.
    """
    runtime = runtimes.get_runtime()
    occasion = _occasion(intent, label=label, subject=subject, chars=chars)
    decision = await consider(runtime, prefix, occasion)
    return skipped_attempt(runtime, prefix, decision) if decision.action is Action.SKIP else None


@_lasting
async def prewarm_prefix(
    prompt: AnyPrompt, *, intent: Intent, label: str = "", subject: str = "", place: str = "", chars: int | None = None
) -> Attempt:
    """Decides whether to warm `prompt` now, and if so sends the warm-up in the background.

    `intent` is a member of `Intent` or its value; anything else raises `ValueError`. `label` (which product or
    assistant) and `subject` (for whom) are the host's words and are stored with the row, as is `place` (which
    conversation): a request of the same place shows when its bytes were not those that were warmed. `chars` is the
    number of typed characters: twenty characters are a surer sign than the first key. Provider failures are never
    raised: then `attempt.finished` returns a `Warmth` with state `failed` and the reason.
    """
    occasion = _occasion(intent, label=label, subject=subject, place=place, chars=chars)
    return await prewarm(runtimes.get_runtime(), prompt, occasion)


@_lasting
async def warm_now(prompt: AnyPrompt, *, label: str = "", subject: str = "") -> Warmth:
    """Warms `prompt` because a person asked for it (intent `manual`): every gate but the worth applies. Waits for the
    end, but not for long: a longer call continues in the background, and the returned state is `warming`."""
    attempt = await prewarm_prefix(prompt, intent=Intent.MANUAL, label=label, subject=subject)
    if attempt.finished is not None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(MANUAL_PATIENCE_SECONDS):
                return await attempt.finished()
    return attempt.warmth


def stream_response(
    prompt: AnyPrompt,
    turn: LastTurn,
    *,
    max_tokens: int,
    purpose: Purpose = Purpose.REPLY,
    label: str = "",
    subject: str = "",
    place: str = "",
    ending: Ending | None = None,
    container: str | None = None,
    stop_sequences: Sequence[str] | None = None,
    metadata: Json | None = None,
    timeout: float | None = None,
    **refused: Never,
) -> ResponseStream:
    """The real request: `prompt` followed by the person's `turn` (API content blocks). See `ResponseStream`.

    An answer that stopped with `pause_turn` is continued by the same call: its `paused_turn` as `turn`, the person's
    turn in the prompt's history, purpose `tool_round`, and the id of its `container`, if it had one. Later requests
    name the `container` too, until it expires, if they are to find the files that were written there.

    `place` is the host's name of the conversation, as in `schedule_refresh`: the request cancels what was due there.
    `ending` writes the host's own data about the reply, in the same transaction as the request's row: a synchronous
    function that takes the `Result` and is idempotent. If `Result.ending_was_run` is False, because no call was made or
    the database is down, the host runs it itself. `stop_sequences`, `metadata` and `timeout` (seconds, for all of
    the answer) are the SDK's; what a warm-up must know too belongs in the prompt.
    """
    refuse_unknown(refused)
    if is_passing():
        return RelayedResponse(
            lambda: stream_response(
                prompt,
                turn,
                max_tokens=max_tokens,
                purpose=purpose,
                label=label,
                subject=subject,
                place=place,
                ending=ending,
                container=container,
                stop_sequences=stop_sequences,
                metadata=metadata,
                timeout=timeout,
            )
        )
    runtime = runtimes.get_runtime()
    origin = _origin(runtime, label=label, subject=subject, place=place)
    refresh.cancel(runtime, origin.place)
    return ResponseStream(
        runtime,
        prompt,
        turn,
        max_tokens=max_tokens,
        purpose=member_of(Purpose, "purpose", purpose),
        origin=origin,
        ending=ending,
        members={
            name: value
            for name, value in (("container", container), ("stop_sequences", stop_sequences), ("metadata", metadata))
            if value is not None
        },
        timeout_seconds=timeout,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """A whole answer, and how its request ended."""

    text: str
    blocks: Sequence[Json]
    """The API's content blocks, for `answer_turn`."""
    message: Json
    """The API's message without its content: `stop_reason`, `stop_details`, `container`."""
    result: Result


def _collecting(function: Callable[P, ResponseStream]) -> Callable[P, Coroutine[Any, Any, Response]]:
    async def respond(*args: P.args, **kwargs: P.kwargs) -> Response:
        """The real request, for a caller who wants the whole answer. Arguments and errors: see `stream_response`."""
        answer = AnswerContent()
        async with function(*args, **kwargs) as response:
            async for event in response:
                answer.take(event)
        blocks = answer.blocks()
        text = "".join(block["text"] for block in blocks if block.get("type") == "text")
        return Response(text=text, blocks=blocks, message=answer.message, result=response.result)

    return respond


respond = _collecting(stream_response)


def body_of(prompt: AnyPrompt, turn: LastTurn, *, label: str = "") -> dict[str, Any]:
    """The body of the real request with its breakpoints, for whoever sends it in place of `stream_response`: the SDK,
    a framework. They add `max_tokens`, and `Prompt.betas` as headers. Tell `report` how it ended."""
    if is_passing():
        return briefly_at_home(lambda: body_of(prompt, turn, label=label))
    return runtimes.get_runtime().build(prompt, turn, label=word_of("label", label)).body


@_lasting
async def report(
    prompt: AnyPrompt,
    turn: LastTurn,
    *,
    usage: Any,
    started_at: float,
    first_token_at: float | None = None,
    stop_reason: str = "",
    request_id: str = "",
    response_id: str = "",
    purpose: Purpose = Purpose.REPLY,
    label: str = "",
    subject: str = "",
    place: str = "",
    ending: Ending | None = None,
) -> Result:
    """Records a request that was sent with `body_of` by somebody else, and settles the warm-ups that it used.

    `usage` is the answer's, as the Messages API or the SDK gives it; None if there was no answer. `started_at` and
    `first_token_at` are moments of `time.time()`. The words and `ending` are those of `stream_response`. Such a
    request waits for no warm-up in flight.
    """
    runtime = runtimes.get_runtime()
    origin = _origin(runtime, label=label, subject=subject, place=place)
    refresh.cancel(runtime, origin.place)
    return await record_reported(
        runtime,
        runtime.build(prompt, turn, label=origin.label),
        reported_usage(usage),
        origin=origin,
        purpose=member_of(Purpose, "purpose", purpose),
        started_at=started_at,
        first_token_at=first_token_at,
        stop_reason=stop_reason,
        request_id=request_id,
        response_id=response_id,
        ending=ending,
    )


def schedule_refresh(place: str, load: Load, *, after: Result, label: str = "", subject: str = "") -> None:
    """Decides once, shortly before what the response `after` left warm lapses, whether a refresh pays.

    `load` returns the prompt that the next message of `place` would follow, or None if the place is gone. It is called
    only if a refresh is to be sent, in a thread that may use the database. It should hold ids, not content.
    """
    if after.started_at and after.usage is not None:
        rest = Rest(
            place=word_of("place", place),
            label=word_of("label", label),
            subject=word_of("subject", subject),
            prefix=after.prefix,
            load=load,
            silent_since=after.started_at,
            touched_at=after.started_at,
            missing_tokens=after.usage.output_tokens,
            asks_tool=after.asks_tool,
            is_ttl_open=after.is_ttl_open,
        )
        _in_runtime(lambda runtime: refresh.schedule(runtime, rest))


def register_shared_layers(list_layers: ListLayers) -> None:
    """Names the layers that many requests share. The operator then sees what holding them warm would cost, and may
    switch it on: see `SharedLayer`. Synchronous; call it once, when Django is ready."""
    shared_layers.register_shared_layers(list_layers)
    accompany(keeper.keep_forever)


def count_soon(layer: SharedLayer) -> None:
    """Has the provider count a shared layer that was edited, in the background: decisions then know its tokens before
    anybody is billed for it. Callable from any thread; without effect where no server has adopted its event loop."""
    loop = runtimes.adopted_loop()
    if loop is not None:
        loop.call_soon_threadsafe(lambda: counting.count_soon(runtimes.get_runtime(), layer))


@_lasting
async def holder_of(label: str) -> str | None:
    """The process that holds the shared layer of `label` now; None if none does, or if it cannot be determined."""
    try:
        return (await keeper.holders(runtimes.get_runtime().store, [label])).get(label)
    except StoreUnavailable:
        return None


def cancel_refresh(place: str) -> None:
    """Cancels the refresh of a place to which nobody will come back."""
    _in_runtime(lambda runtime: refresh.cancel(runtime, word_of("place", place)))


@_lasting
async def forget(subject: str, *, places: Sequence[str] = ()) -> None:
    """Drops what this process remembers of a subject and of these places, and the subject's credit and budgets in the
    store. Call it in every process once the subject is gone; the ledger is `ledger.erasure`'s."""
    runtime = runtimes.get_runtime()
    words = [word_of("place", place) for place in places]
    for place in words:
        refresh.cancel(runtime, place)
    runtime.learning.forget_places(words)
    name = word_of("subject", subject)
    runtime.visits.forget(name)
    await runtime.guards.forget(name)


@_lasting
async def start() -> None:
    """For servers, at their start: declares that the running event loop lives as long as the process, so that
    synchronous code (an admin action) uses its runtime too. See `warmcache.bridge`. If shared layers are to be kept
    warm, that begins now; everything else begins with the first call."""
    runtimes.adopt_loop()
    runtimes.import_provider_soon()
    policy = await in_database_thread(lambda: policy_in_force(get_config(), read_row()))
    if policy.is_enabled and policy.keeps_shared_layers:
        runtimes.get_runtime()


@_lasting
async def flush() -> None:
    """Returns when all decisions and calls so far are in the database, and expired lines are settled."""
    await runtimes.get_runtime().ledger.flush()


@_lasting
async def close(*, patience_seconds: float | None = None) -> None:
    """Flushes, ends background tasks and closes connections of the running event loop; call it at shutdown.

    Waits at most `patience_seconds` (5 by default) for a database that does not answer; what is lost then is logged.
    """
    await runtimes.close_runtime(patience_seconds=patience_seconds)


def _origin(runtime: Runtime, *, label: str, subject: str, place: str) -> Origin:
    return Origin(
        label=word_of("label", label),
        subject=word_of("subject", subject),
        place=word_of("place", place),
        upstream=runtime.provider.capabilities.upstream,
    )


def _occasion(intent: Intent, *, label: str, subject: str, place: str = "", chars: int | None) -> Occasion:
    return Occasion(
        intent=member_of(Intent, "intent", intent),
        label=word_of("label", label),
        subject=word_of("subject", subject),
        place=word_of("place", place),
        chars=chars,
    )


def _in_runtime(function: Callable[[Runtime], None]) -> None:
    """Calls it now, on the loop that lasts."""
    if is_passing():
        briefly_at_home(lambda: function(runtimes.get_runtime()))
    else:
        function(runtimes.get_runtime())
