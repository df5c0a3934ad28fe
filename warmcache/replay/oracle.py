"""The oracle: the best result possible for a policy that knows when people come back.

It makes a plan per conversation by dynamic programming over its requests. It has the same signs, near expiries and TTLs
as every policy, but knows the future; the objective is `value_of_second * seconds - dollars`. The plan then runs
against the engine like any other policy.

In what sense it is a bound: within one conversation, the state between two requests is when the prefix was last
touched, how long its end lives, and which earlier position lives for an hour. The plan is the best over that state,
with two simplifications: a cut history is assumed readable up to the cut, and signs are tried only if at least one
read can be earned in the same gap. If conversations share a layer, the plan takes the requests of the others as
given. Therefore the study reports, per conversation, the best of this plan and of the actual results of all policies
in the table: no policy in the table can exceed it, in sum or in any conversation.
"""

import heapq
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from warmcache.core.catalog import facts_for
from warmcache.core.economics import RateSource
from warmcache.core.intents import Sign
from warmcache.core.keeping import refresh_at
from warmcache.core.ttl import LONG_TTL_SECONDS, SHORT_TTL_SECONDS
from warmcache.replay.driver import REACH_POSITIONS, REFRESH_MARGIN_SECONDS
from warmcache.replay.people import Intent
from warmcache.replay.policies import Meeting, View
from warmcache.replay.prompts import MESSAGE_END_TOKENS, PLACEHOLDER_TOKENS, ConversationPrompts
from warmcache.replay.scenes import Scene
from warmcache.replay.traces import TracedConversation
from warmcache.simulator.latency import LatencyProfile, profile_for

_MAX_LABELS = 8
_TTLS = (SHORT_TTL_SECONDS, LONG_TTL_SECONDS)

Prices = tuple[float, float, float, float]
"""Input, read, write for 5 minutes, write for an hour; dollars per token."""


@dataclass(slots=True)
class ConversationPlan:
    """What to do and when. A missing key means: do nothing, or five minutes."""

    at_intents: dict[int, int] = field(default_factory=dict)
    at_wakes: dict[tuple[int, int], int] = field(default_factory=dict)
    """Keys are (last request, warm-ups since)."""
    at_requests: dict[int, int] = field(default_factory=dict)
    joins: set[int] = field(default_factory=set)
    value: float = 0.0
    """The value that the plan promises: minus dollars, minus seconds at their price."""


class Planned:
    """Executes plans. Implements `Policy`."""

    name = "oracle"
    wakes = True
    hears = frozenset(Sign)
    looks = False

    def __init__(self, plans: Sequence[ConversationPlan], shared_ttl_seconds: int) -> None:
        self._plans = plans
        self._shared_ttl_seconds = shared_ttl_seconds

    @property
    def promised(self) -> float:
        """The value that all plans promise: minus dollars, minus seconds at their price."""
        return sum(plan.value for plan in self._plans)

    def on_intent(self, view: View, kind: Sign) -> int | None:
        return self._plans[view.conversation].at_intents.get(view.intent)

    def on_wake(self, view: View) -> int | None:
        return self._plans[view.conversation].at_wakes.get((view.after, view.touches))

    def request_ttl(self, view: View, new_tokens: int) -> int:
        return self._plans[view.conversation].at_requests.get(view.after + 1, SHORT_TTL_SECONDS)

    def shared_ttl(self) -> int:
        return self._shared_ttl_seconds

    def joins(self, meeting: Meeting) -> bool:
        return meeting.after in self._plans[meeting.conversation].joins


@dataclass(slots=True)
class _State:
    """One conversation's part of the cache after a call that started at `at`. Never changed; freezing it costs time."""

    at: float
    tail: int
    """Deepest live position, in tokens; it lives for `ttl`."""
    ttl: int
    hour: int
    hour_number: int
    before: int = 0
    """What was live when the warm-up in flight began."""
    busy_until: float = -1e18
    cost: float = 0.0
    touches: int = 0
    steps: tuple[tuple[int, int], ...] = ()
    """(number of the intent, or -1 for a wake; TTL) of each warm-up."""


@dataclass(slots=True)
class _Label:
    """One path up to this point. Never changed."""

    value: float
    state: _State
    parent: "_Label | None"
    steps: tuple[tuple[int, int], ...]
    ttl: int
    joined: bool


class Planner:
    """Plans the conversations of one scene."""

    def __init__(
        self,
        scene: Scene,
        *,
        model: str,
        rates: RateSource,
        profile: str,
        value_of_second: float,
        shared_ttl_seconds: int,
    ) -> None:
        self._scene = scene
        self._model = model
        self._rates = rates
        self._minimum = facts_for(model).min_prefix_tokens
        self._profile: LatencyProfile = profile_for(profile, model)
        self._value = value_of_second
        self._shared_ttl = shared_ttl_seconds
        self._prices: dict[int, Prices] = {}
        self._arrivals = (
            sorted(request.at for conversation in scene.conversations for request in conversation.requests)
            if scene.is_shared
            else []
        )

    def policy(self) -> Planned:
        """The plans of all conversations, ready to run."""
        plans = [
            _ConversationPlanner(self, conversation, prompts, intents).plan()
            for conversation, prompts, intents in zip(
                self._scene.conversations, self._scene.prompts, self._scene.intents, strict=True
            )
        ]
        return Planned(plans, self._shared_ttl)

    @property
    def minimum(self) -> int:
        return self._minimum

    def prices(self, tokens: int) -> Prices:
        """Prices for a prompt of this size, rounded up to a thousand: tiers begin at round numbers."""
        size = -(-tokens // 1000)
        found = self._prices.get(size)
        if found is None:
            rates = self._rates(self._model, tokens)
            if rates is None:
                raise LookupError(f"There is no price for {self._model}.")
            found = self._prices[size] = (
                float(rates.input),
                float(rates.cache_read),
                float(rates.cache_write_5m),
                float(rates.cache_write_1h),
            )
        return found

    def seconds(self, tokens: int, read: int) -> float:
        return self._profile.prefill_seconds(tokens - read, read)

    def seconds_worth(self, seconds: float) -> float:
        return self._value * seconds

    def shared_is_live(self, at: float, own_touch: float) -> bool:
        """Whether the shared layer was used within its TTL, by this or another conversation."""
        if at < own_touch + self._shared_ttl:
            return True
        later = bisect_left(self._arrivals, at)
        return later > 0 and self._arrivals[later - 1] > at - self._shared_ttl


class _ConversationPlanner:
    """Plans one conversation."""

    def __init__(
        self,
        planner: Planner,
        conversation: TracedConversation,
        prompts: ConversationPrompts,
        intents: Sequence[Intent],
    ) -> None:
        self._planner = planner
        self._requests = conversation.requests
        self._prompts = prompts
        self._shared = prompts.opening.tokens if prompts.opening.tokens >= planner.minimum else 0
        self._by_gap: dict[int, list[tuple[float, int]]] = {}
        for number, intent in enumerate(intents):
            self._by_gap.setdefault(intent.gap, []).append((intent.at, number))

    def plan(self) -> ConversationPlan:
        start = _State(at=-1e18, tail=0, ttl=SHORT_TTL_SECONDS, hour=0, hour_number=0)
        labels = [_Label(0.0, start, None, (), SHORT_TTL_SECONDS, False)]
        for index in range(len(self._requests)):
            reached = [after for label in labels for after in self._step(label, index)]
            labels = _frontier(reached)
        return _read_back(max(labels, key=lambda label: label.value), len(self._requests))

    def _step(self, label: _Label, index: int) -> list[_Label]:
        """Every path over the gap before request `index`, with both TTLs for its new tokens."""
        found = []
        for state in self._gap(label.state, index):
            for joined in (False, True) if state.busy_until > self._requests[index].at else (False,):
                for ttl in _TTLS:
                    value, after = self._send(state, index, joined, ttl)
                    found.append(_Label(label.value + value, after, label, state.steps, ttl, joined))
        return found

    def _send(self, state: _State, index: int, joined: bool, ttl: int) -> tuple[float, _State]:
        request = self._requests[index]
        starts = state.busy_until if joined else request.at
        read = min(self._readable(state, starts, joined), self._prompts.kept[index].tokens)
        tokens = self._prompts.requests[index].tokens
        if tokens < self._planner.minimum:
            read = 0
        plain, read_price, short, long = self._planner.prices(tokens + MESSAGE_END_TOKENS)
        write = plain if tokens < self._planner.minimum else long if ttl == LONG_TTL_SECONDS else short
        dollars = read * read_price + (tokens - read) * write + MESSAGE_END_TOKENS * plain + state.cost
        seconds = starts - request.at + self._planner.seconds(tokens + MESSAGE_END_TOKENS, read)
        worth = self._planner.seconds_worth(seconds) if request.is_person else 0.0
        end = self._prompts.requests[index].positions[-1]
        hour, number = (end.tokens, end.number) if ttl == LONG_TTL_SECONDS else self._hour(state, starts, index)
        after = _State(at=starts, tail=end.tokens, ttl=ttl, hour=hour, hour_number=number)
        return -dollars - worth, after

    def _readable(self, state: _State, at: float, joined: bool) -> int:
        if state.busy_until > at and not joined:
            return state.before
        return self._live(state, at)

    def _hour(self, state: _State, at: float, index: int) -> tuple[int, int]:
        end = self._prompts.requests[index].positions[-1].number
        is_kept = state.hour <= self._prompts.kept[index].tokens and end - state.hour_number <= REACH_POSITIONS
        return (state.hour, state.hour_number) if is_kept and at < state.at + LONG_TTL_SECONDS else (0, 0)

    def _live(self, state: _State, at: float) -> int:
        if at < state.at + state.ttl:
            return state.tail
        if state.hour and at < state.at + LONG_TTL_SECONDS:
            return state.hour
        return self._shared if self._planner.shared_is_live(at, state.at) else 0

    def _gap(self, start: _State, index: int) -> list[_State]:
        """The states at the arrival of request `index`. Skips paths that cost more than the gap can gain."""
        target = self._prompts.history(index - 1).tokens
        reading = target * self._planner.prices(target)[1]
        if target < self._planner.minimum or self._most(start, index, target) <= reading:
            return [start]
        budget = self._stake(start, index)
        if budget <= reading:
            return [start]
        found, counter = [start], 0
        seen: dict[tuple[float, int, int, int], float] = {}
        waiting: list[tuple[float, int, _State]] = [(start.at, 0, start)]
        while waiting:
            _, _, state = heapq.heappop(waiting)
            for at, intent in self._chances(state, index):
                for ttl in _TTLS:
                    after = self._warm(state, at, intent, ttl, index)
                    key = (round(at, 3), after.ttl, after.hour, after.touches if intent < 0 else 0)
                    if after.cost < budget and after.cost < seen.get(key, float("inf")):
                        seen[key] = after.cost
                        counter += 1
                        found.append(after)
                        heapq.heappush(waiting, (at, counter, after))
        return found

    def _most(self, state: _State, index: int, target: int) -> float:
        """A quick upper bound of `_stake`: what is not live at the arrival then costs neither a write nor a wait."""
        missing = target - self._live(state, self._requests[index].at)
        waiting = self._planner.seconds(missing, 0) - self._planner.seconds(0, 0)
        return missing * self._planner.prices(target)[3] + self._planner.seconds_worth(waiting)

    def _stake(self, state: _State, index: int) -> float:
        """The most that the gap can gain: everything hot at the arrival, compared with doing nothing."""
        hot = _State(
            at=self._requests[index].at,
            tail=self._prompts.history(index - 1).tokens,
            ttl=LONG_TTL_SECONDS,
            hour=0,
            hour_number=0,
        )
        best, _ = self._send(hot, index, False, SHORT_TTL_SECONDS)
        nothing, _ = self._send(state, index, False, SHORT_TTL_SECONDS)
        return best - nothing

    def _chances(self, state: _State, index: int) -> list[tuple[float, int]]:
        """The moments of possible next actions: signs, and the near expiry of the last touched entry."""
        arrival = self._requests[index].at
        begin = max(state.at, state.busy_until)
        found = [(at, number) for at, number in self._by_gap.get(index - 1, ()) if begin < at <= arrival]
        if index > 0:
            wake_at = refresh_at(state.at, state.ttl, REFRESH_MARGIN_SECONDS)
            wake_at = max(wake_at, self._requests[index - 1].reply_end)
            if wake_at < min(arrival, state.at + state.ttl) and wake_at >= state.busy_until:
                found.append((wake_at, -1))
        return found

    def _warm(self, state: _State, at: float, intent: int, ttl: int, index: int) -> _State:
        target = self._prompts.history(index - 1).positions[-1]
        read = min(self._live(state, at), target.tokens)
        wrote = target.tokens - read
        plain, read_price, short, long = self._planner.prices(target.tokens + PLACEHOLDER_TOKENS)
        write = long if ttl == LONG_TTL_SECONDS else short
        cost = read * read_price + wrote * write + PLACEHOLDER_TOKENS * plain
        lives = ttl if wrote else state.ttl
        hour_is_live = state.hour and at < state.at + LONG_TTL_SECONDS
        hour = (target.tokens, target.number) if lives == LONG_TTL_SECONDS else (state.hour, state.hour_number)
        if lives != LONG_TTL_SECONDS and not hour_is_live:
            hour = (0, 0)
        return _State(
            at=at,
            tail=target.tokens,
            ttl=lives,
            hour=hour[0],
            hour_number=hour[1],
            before=read,
            busy_until=at + self._planner.seconds(target.tokens + PLACEHOLDER_TOKENS, read),
            cost=state.cost + cost,
            touches=state.touches + 1,
            steps=(*state.steps, (intent, ttl)),
        )


def _frontier(labels: Sequence[_Label]) -> list[_Label]:
    """Keeps a path if no other is worth as much and leaves at least as much alive for an hour."""
    kept: list[_Label] = []
    best = -float("inf")
    for label in sorted(labels, key=lambda label: (-label.state.hour, -label.value)):
        if label.value > best:
            kept.append(label)
            best = label.value
    return sorted(kept, key=lambda label: -label.value)[:_MAX_LABELS]


def _read_back(label: _Label, requests: int) -> ConversationPlan:
    plan = ConversationPlan(value=label.value)
    index = requests - 1
    current: _Label | None = label
    while current is not None and current.parent is not None:
        plan.at_requests[index] = current.ttl
        for touches, (intent, ttl) in enumerate(current.steps):
            if intent >= 0:
                plan.at_intents[intent] = ttl
            else:
                plan.at_wakes[(index - 1, touches)] = ttl
        if current.joined:
            plan.joins.add(index - 1)
        current, index = current.parent, index - 1
    return plan


def best_of(values: Mapping[str, Sequence[float]]) -> list[str]:
    """The name of the run with the highest value, for each conversation."""
    names = list(values)
    return [max(names, key=lambda name: values[name][n]) for n in range(len(values[names[0]]))]
