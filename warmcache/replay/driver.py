"""Runs one policy in one world: conversations on one clock, and one simulated provider.

The simulator's engine decides what a request reads, writes and waits; the policy only answers questions. Events are
ordered by time: responses begin, signs of a send, near expiries, sends. A joined send starts when the warm-up ends.
"""

import heapq
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from warmcache.core.economics import Rates, RateSource, request_cost_usd
from warmcache.core.keeping import refresh_at
from warmcache.core.ttl import LONG_TTL_SECONDS, SHORT_TTL_SECONDS
from warmcache.core.usage import Usage
from warmcache.replay.policies import Learner, Meeting, Policy, View
from warmcache.replay.prompts import Position, TracedPrompt
from warmcache.replay.scenes import Outcome, Scene
from warmcache.replay.teaching import Teacher
from warmcache.simulator.engine import LOOK_BACK_POSITIONS, CacheUsage, Engine, Plan
from warmcache.simulator.latency import LatencyModel

REFRESH_MARGIN_SECONDS = 10.0
REACH_POSITIONS = LOOK_BACK_POSITIONS - 2
FULL_READ = 0.99

_RESPOND, _INTENT, _WAKE, _SEND = range(4)


@dataclass(slots=True)
class _Flight:
    started_at: float
    ends_at: float
    cold_tokens: int
    prefix_tokens: int


@dataclass(slots=True)
class _Thread:
    """The state of one conversation."""

    after: int = -1
    touched_at: float = -1e18
    readable_at: float = 0.0
    tail_tokens: int = 0
    tail_ttl: int = SHORT_TTL_SECONDS
    hour_tokens: int = 0
    hour_number: int = 0
    touches: int = 0
    calls: int = 0
    flight: _Flight | None = None
    unsettled: list[tuple[Decimal, int]] = field(default_factory=list)


class Replay:
    """Call `run()` once per scene; the policy keeps what it has learned."""

    def __init__(
        self,
        scene: Scene,
        policy: Policy,
        *,
        model: str,
        rates: RateSource,
        profile: str,
        learner: Learner | None = None,
    ) -> None:
        self._scene = scene
        self._policy = policy
        self._teacher = Teacher(scene, learner) if learner is not None else None
        self._model = model
        self._rates = rates
        self._engine = Engine(clock=lambda: 0.0, latency=LatencyModel(profile, noise=0))
        self._threads = [_Thread() for _ in scene.conversations]
        self._shared_flight: _Flight | None = None
        self._shared_until = -1e18
        self._heap: list[tuple[float, int, int, int, Any]] = []
        self._pushed = 0
        self.outcomes = [Outcome() for _ in scene.conversations]

    def run(self) -> list[Outcome]:
        """One outcome per conversation, in their order."""
        planned = sorted(self._planned())
        handlers: tuple[Callable[[float, int, Any], None], ...] = (
            self._respond,
            self._intent,
            self._wake,
            self._send,
        )
        heap, position = self._heap, 0
        while position < len(planned) or heap:
            if heap and (position >= len(planned) or heap[0] < planned[position]):
                at, kind, _, conversation, detail = heapq.heappop(heap)
            else:
                at, kind, _, conversation, detail = planned[position]
                position += 1
            if self._teacher is not None:
                self._teacher.overdue(at)
            handlers[kind](at, conversation, detail)
        self._close()
        return self.outcomes

    def _planned(self) -> list[tuple[float, int, int, int, Any]]:
        events: list[tuple[float, int, int, int, Any]] = []
        hears = self._policy.hears
        for number, conversation in enumerate(self._scene.conversations):
            events += [
                (request.at, _SEND, -len(conversation.requests) + n, number, (n, request.at))
                for n, request in enumerate(conversation.requests)
            ]
            events += [
                (intent.at, _INTENT, -n, number, n)
                for n, intent in enumerate(self._scene.intents[number])
                if intent.kind in hears
            ]
        return events

    def _push(self, at: float, kind: int, conversation: int, detail: Any) -> None:
        self._pushed += 1
        heapq.heappush(self._heap, (at, kind, self._pushed, conversation, detail))

    def _respond(self, at: float, conversation: int, plan: Plan) -> None:
        self._engine.respond(plan, at=at)

    def _intent(self, at: float, number: int, index: int) -> None:
        intent = self._scene.intents[number][index]
        thread = self._threads[number]
        if intent.gap != thread.after:  # an earlier joined send is still waiting
            return
        if self._teacher is not None:
            self._teacher.sign(at, number, intent.kind)
        if self._in_flight(number, at) is None:
            ttl = self._policy.on_intent(self._view(at, number, intent=index), intent.kind)
            if ttl is not None:
                self._warm(at, number, ttl)

    def _wake(self, at: float, number: int, calls: int) -> None:
        thread = self._threads[number]
        conversation = self._scene.conversations[number]
        if thread.calls != calls or at > conversation.silent_until:
            return
        ttl = self._policy.on_wake(self._view(at, number))
        if ttl is not None:
            self._warm(at, number, ttl)

    def _warm(self, at: float, number: int, ttl_seconds: int) -> None:
        thread, outcome = self._threads[number], self.outcomes[number]
        prompts = self._scene.prompts[number]
        prompt = prompts.warm_up(thread.after, ttl_seconds=ttl_seconds, shared_ttl_seconds=self._policy.shared_ttl())
        plan = self._begin(prompt, at, number)
        wrote = plan.usage.cache_write_tokens
        flight = _Flight(at, at + plan.ttft_seconds, wrote, prompt.prefix_tokens[-1])
        thread.flight = flight
        if thread.after < 0 and self._scene.is_shared:
            self._shared_flight = flight
        dollars = self._cost(plan.usage)
        outcome.dollars += dollars
        outcome.warm_up_dollars += dollars
        outcome.warm_ups += 1
        thread.unsettled.append((dollars, plan.usage.cache_read_tokens + wrote))
        thread.touches += 1
        self._touched(thread, at, prompts.history(thread.after).positions[-1], wrote, ttl_seconds)
        if thread.after >= 0:
            self._schedule(number, at)

    def _send(self, at: float, number: int, detail: tuple[int, float]) -> None:
        index, pressed_at = detail
        thread, outcome = self._threads[number], self.outcomes[number]
        flight = self._in_flight(number, at)
        if flight is not None and at == pressed_at and self._policy.joins(self._meeting(number, flight, at)):
            outcome.joins += 1
            self._push(flight.ends_at, _SEND, number, (index, pressed_at))
            return
        request = self._scene.conversations[number].requests[index]
        prompts = self._scene.prompts[number]
        view = self._view(at, number)
        believed = min(view.hot_tokens, view.history_tokens)
        ttl = self._policy.request_ttl(view, request.prompt_tokens - min(believed, request.kept_tokens))
        prompt = prompts.request(index, ttl_seconds=ttl, shared_ttl_seconds=self._policy.shared_ttl())
        plan = self._begin(prompt, at, number)
        outcome.dollars += self._cost(plan.usage)
        outcome.sends += 1
        if request.is_person:
            outcome.waits.append(at - pressed_at + plan.ttft_seconds)
        self._settle(thread, outcome, plan.usage.cache_read_tokens)
        if self._teacher is not None:
            read = plan.usage.cache_read_tokens
            self._teacher.request(pressed_at, number, index, believed_tokens=believed, read_tokens=read)
        if thread.hour_tokens > prompts.kept[index].tokens:
            thread.hour_tokens = 0  # the history was cut before this position
        thread.after, thread.touches, thread.flight = max(index, thread.after), 0, None
        self._touched(thread, at, prompts.requests[index].positions[-1], plan.usage.cache_write_tokens, ttl)
        self._schedule(number, max(at, request.at))

    def _begin(self, prompt: TracedPrompt, at: float, number: int) -> Plan:
        plan = self._engine.begin(prompt, at=at)
        thread = self._threads[number]
        thread.calls += 1
        thread.readable_at = at + plan.ttft_seconds
        self._push(at + plan.ttft_seconds, _RESPOND, number, plan)
        if self._teacher is not None:
            self._teacher.call(plan)
        return plan

    def _touched(self, thread: _Thread, at: float, end: Position, wrote: int, ttl_seconds: int) -> None:
        """Records which TTLs apply now. A read entry keeps its own TTL; new tokens have the TTL of their write."""
        if at >= thread.touched_at + LONG_TTL_SECONDS:
            thread.hour_tokens = 0
        if wrote:
            thread.tail_ttl = ttl_seconds
        if thread.tail_ttl == LONG_TTL_SECONDS:
            thread.hour_tokens, thread.hour_number = end.tokens, end.number
        elif end.number - thread.hour_number > REACH_POSITIONS or end.tokens < thread.hour_tokens:
            thread.hour_tokens = 0
        thread.touched_at, thread.tail_tokens = at, end.tokens
        self._shared_until = at + max(self._policy.shared_ttl(), SHORT_TTL_SECONDS)

    def _schedule(self, number: int, at: float) -> None:
        if not self._policy.wakes:
            return
        thread, conversation = self._threads[number], self._scene.conversations[number]
        wake_at = refresh_at(at, thread.tail_ttl, REFRESH_MARGIN_SECONDS)
        if thread.after >= 0:
            wake_at = max(wake_at, conversation.requests[thread.after].reply_end)
        following = thread.after + 1
        if following < len(conversation.requests) and conversation.requests[following].at <= wake_at:
            return  # the wake would be outdated when it comes; the policy never learns of it
        if wake_at < at + thread.tail_ttl:
            self._push(wake_at, _WAKE, number, thread.calls)

    def _in_flight(self, number: int, at: float) -> _Flight | None:
        thread = self._threads[number]
        for flight in (thread.flight, self._shared_flight if thread.after < 0 else None):
            if flight is not None and flight.ends_at > at:
                return flight
        return None

    def _meeting(self, number: int, flight: _Flight, at: float) -> Meeting:
        return Meeting(
            conversation=number,
            after=self._threads[number].after,
            elapsed_seconds=at - flight.started_at,
            prefix_tokens=flight.prefix_tokens,
            cold_tokens=flight.cold_tokens,
        )

    def _view(self, at: float, number: int, *, intent: int = -1) -> View:
        thread, prompts, looks = self._threads[number], self._scene.prompts[number], self._policy.looks
        hot = 0
        if looks and at < thread.touched_at + thread.tail_ttl and at >= thread.readable_at:
            hot = thread.tail_tokens
        elif looks:
            ttl = SHORT_TTL_SECONDS
            warm_up = prompts.warm_up(thread.after, ttl_seconds=ttl, shared_ttl_seconds=ttl)
            hot = self._engine.usage_of(warm_up, at=at).cache_read_tokens
        request = self._scene.conversations[number].requests[thread.after] if thread.after >= 0 else None
        return View(
            now=at,
            conversation=number,
            after=thread.after,
            intent=intent,
            history_tokens=prompts.history(thread.after).tokens,
            shared_tokens=prompts.opening.tokens,
            hot_tokens=hot,
            hot_until=self._hot_until(thread, hot, prompts.opening.tokens),
            shared_until=self._shared_until,
            touched_at=thread.touched_at,
            silent_seconds=at - request.at if request else 0.0,
            touches=thread.touches,
            asks_tool=request.asks_tool if request else False,
            gap_is_known=request.gap_is_known if request else True,
            reply_tokens=request.output_tokens if request else 0,
            ttl_seconds=thread.tail_ttl,
            hour_tokens=thread.hour_tokens if at < thread.touched_at + LONG_TTL_SECONDS else 0,
        )

    def _hot_until(self, thread: _Thread, hot_tokens: int, shared_tokens: int) -> float:
        if hot_tokens <= shared_tokens:
            return self._shared_until
        if hot_tokens <= thread.hour_tokens:
            return thread.touched_at + LONG_TTL_SECONDS
        return thread.touched_at + thread.tail_ttl

    def _cost(self, usage: CacheUsage) -> Decimal:
        rates: Rates | None = self._rates(self._model, usage.total_tokens)
        if rates is None:
            raise LookupError(f"There is no price for {self._model}.")
        return request_cost_usd(
            Usage(
                input_tokens=usage.input_tokens,
                cache_read_tokens=usage.cache_read_tokens,
                cache_write_tokens=usage.cache_write_tokens,
                cache_write_1h_tokens=usage.cache_write_1h_tokens,
            ),
            rates,
        )

    def _settle(self, thread: _Thread, outcome: Outcome, read_tokens: int) -> None:
        for dollars, tokens in thread.unsettled:
            if read_tokens < FULL_READ * tokens:
                outcome.wasted += 1
                outcome.wasted_dollars += dollars
        thread.unsettled.clear()

    def _close(self) -> None:
        for thread, outcome in zip(self._threads, self.outcomes, strict=True):
            self._settle(thread, outcome, 0)
        if self._teacher is not None:
            self._teacher.close()
