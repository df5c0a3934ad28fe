"""The study: all policies on one source, for one model and latency profile, as rows of the table."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import lru_cache
from pathlib import Path

from warmcache.core.catalog import facts_for
from warmcache.core.economics import Rates, RateSource
from warmcache.core.statistics import Bootstrap, Interval, interval, percentile
from warmcache.core.ttl import LONG_TTL_SECONDS, SHORT_TTL_SECONDS
from warmcache.replay.driver import Replay
from warmcache.replay.first_hours import first_hours
from warmcache.replay.informed import Informed
from warmcache.replay.learned import Ours
from warmcache.replay.oracle import Planner, best_of
from warmcache.replay.people import Habits, People
from warmcache.replay.policies import Policy, fixed_policy
from warmcache.replay.prompts import ConversationPrompts, shared_link
from warmcache.replay.scenes import Outcome, Scene
from warmcache.replay.traces import Trace, TracedConversation, read_trace

BASELINE = "never"
OURS = "ours"
INFORMED = "informed"
"""Our rule with rates known beforehand: see `replay/informed.py`."""
ORACLE = "oracle"
MEASURABLE_SECONDS = 60.0
"""If all policies together can save less than this, a comparison of seconds is meaningless."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One block of the table."""

    source: str
    system_tokens: int = 0
    model: str
    profile: str
    habits: Habits = Habits()
    every: int = 1
    """Take only every n-th conversation."""
    first_hours: bool = False
    """Play only the first hours of new labels: see `replay/first_hours.py`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One policy at one price of a second. Saved seconds and extra dollars are relative to `never`."""

    policy: str
    value_of_second_usd: float
    ttft_p50: float
    ttft_p95: float
    ttft_mean: float
    saved_seconds: Interval
    extra_usd: Interval
    net_usd: Interval
    share_of_oracle: float | None
    share_of_informed: float | None
    """Of the net value of our rule with rates known beforehand, which is no upper bound."""
    behind_ours_usd: Interval | None
    """How much more `ours` gains, over the same resampled conversations."""
    warm_ups: int
    sends: int
    """Sends by a person."""
    wasted_usd: float
    """Spent on warm-ups that no request read."""
    wasted_share: float
    """The same as a share of the dollars spent on warm-ups."""
    joins: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """A cell's rows."""

    name: str
    cell: Cell
    conversations: int
    requests: int
    rows: tuple[Row, ...]

    def row(self, policy: str, value: float) -> Row | None:
        """The row of one policy."""
        found = (row for row in self.rows if (row.policy, row.value_of_second_usd) == (policy, value))
        return next(found, None)

    def is_measurable(self, value: float) -> bool:
        """Whether enough seconds are at stake."""
        oracle = self.row(ORACLE, value)
        return oracle is None or oracle.saved_seconds.value >= MEASURABLE_SECONDS


_Gains = tuple[list[float], list[float], list[float], list[float]]
"""Saved seconds and extra dollars: per conversation, and per resample."""


@dataclass(slots=True)
class _Run:
    """One policy's outcomes; `value` is None if the policy does not depend on the price of a second."""

    policy: str
    value: float | None
    outcomes: list[Outcome]
    gains: _Gains | None = None
    """Computed once for all prices."""

    def worth(self, value: float) -> list[float]:
        return [-float(outcome.dollars) - value * outcome.seconds for outcome in self.outcomes]


class Study:
    """Runs one cell."""

    def __init__(
        self,
        directory: Path,
        cell: Cell,
        *,
        policies: Sequence[str],
        values: Sequence[float],
        rates: RateSource,
        teach: Path | None = None,
    ) -> None:
        """`teach`: the folder that `informed` has learned from; without it, the same traffic, which flatters it."""
        seed = cell.habits.seed
        trace = _read(directory, cell.source, cell.system_tokens, seed)
        self._trace = _thinned(trace, cell.every)
        self._labels = first_hours(self._trace) if cell.first_hours else (self._trace,)
        self._lesson = self._trace
        if teach is not None:
            self._lesson = _thinned(_read(teach, cell.source, cell.system_tokens, seed), cell.every)
        self._cell = cell
        self._policies = policies
        self._values = values
        self._rates = _by_thousands(rates)

    def run(self) -> Block:
        """Runs every policy over every conversation."""
        runs = self._runs()
        baseline = next(run for run in runs if run.policy == BASELINE)
        bootstrap = Bootstrap(self._conversations, seed=self._cell.habits.seed)
        rows = []
        for value in self._values:
            rows += _rows(self._candidates(runs, value), baseline, value, bootstrap)
        return Block(
            name=self._trace.name,
            cell=self._cell,
            conversations=self._conversations,
            requests=sum(label.requests for label in self._labels),
            rows=tuple(row for row in rows if row.policy in self._policies),
        )

    @property
    def _conversations(self) -> int:
        return sum(len(label.conversations) for label in self._labels)

    def _runs(self) -> list[_Run]:
        fixed = [name for name in self._policies if name not in (OURS, INFORMED, ORACLE, BASELINE)]
        runs = [_Run(name, None, []) for name in (BASELINE, *fixed)]
        learning = [name for name in (OURS, INFORMED) if name in self._policies]
        runs += [_Run(name, value, []) for value in self._values for name in learning]
        informed = {value: self._informed(value) for value in self._values if INFORMED in self._policies}
        planned = self._planned_runs()
        people = People(self._trace, self._cell.habits)
        for label in self._labels:
            players = [(run, *self._player(run, informed)) for run in runs]
            for scene in self._scenes(label, people):
                for run, policy, learner in players:
                    run.outcomes.extend(self._play(scene, policy, learner))
                for run, shared_ttl in planned:
                    self._play_plan(scene, run, shared_ttl)
        return runs + [run for run, _ in planned]

    def _player(self, run: _Run, informed: Mapping[float, Ours]) -> tuple[Policy, Ours | None]:
        """Of a new label `ours` knows nothing; `informed` is what was taught beforehand."""
        if run.value is None:
            return fixed_policy(run.policy), None
        learner = informed[run.value] if run.policy == INFORMED else self._ours(run.value)
        return learner, learner

    def _ours(self, value: float, kind: type[Ours] = Ours) -> Ours:
        return kind(
            model=self._cell.model,
            rates=self._rates,
            value_of_second_usd=Decimal(str(value)),
            has_common_clock=self._trace.has_common_clock,
        )

    def _informed(self, value: float) -> Ours:
        """Our policy after one complete pass over what it learns from."""
        informed = self._ours(value, Informed)
        for scene in self._scenes(self._lesson, People(self._lesson, self._cell.habits)):
            self._play(scene, informed, informed)
        return informed

    def _planned_runs(self) -> list[tuple[_Run, int]]:
        """With a common clock all conversations share one TTL of the shared layer: both TTLs are tried."""
        if ORACLE not in self._policies:
            return []
        lifetimes = (SHORT_TTL_SECONDS, LONG_TTL_SECONDS) if self._trace.has_common_clock else (SHORT_TTL_SECONDS,)
        return [(_Run(ORACLE, value, []), ttl) for value in self._values for ttl in lifetimes]

    def _play(self, scene: Scene, policy: Policy, learner: Ours | None = None) -> list[Outcome]:
        return Replay(
            scene,
            policy,
            model=self._cell.model,
            rates=self._rates,
            profile=self._cell.profile,
            learner=learner,
        ).run()

    def _play_plan(self, scene: Scene, run: _Run, shared_ttl: int) -> None:
        assert run.value is not None  # noqa: S101 - told to the type checker
        plan = Planner(
            scene,
            model=self._cell.model,
            rates=self._rates,
            profile=self._cell.profile,
            value_of_second=run.value,
            shared_ttl_seconds=shared_ttl,
        ).policy()
        run.outcomes.extend(self._play(scene, plan))

    def _scenes(self, trace: Trace, people: People) -> Iterator[Scene]:
        """One scene if conversations share a clock; otherwise one per conversation, made when it is needed."""
        groups: Sequence[Sequence[TracedConversation]] = [[one] for one in trace.conversations]
        if trace.has_common_clock:
            groups = [trace.conversations]
        facts = facts_for(self._cell.model)
        for group in groups:
            name = trace.name if trace.has_common_clock else group[0].conversation_id
            link = shared_link(name)
            yield Scene(
                conversations=group,
                prompts=[ConversationPrompts(conversation, facts, shared_link=link) for conversation in group],
                intents=[people.intents(conversation) for conversation in group],
                is_shared=trace.has_common_clock,
            )

    def _candidates(self, runs: Sequence[_Run], value: float) -> list[_Run]:
        """The runs at this price; the oracle is the best of them in each conversation."""
        at_price = [run for run in runs if run.value in (None, value)]
        shown = [run for run in at_price if run.policy != ORACLE]
        if ORACLE in self._policies:
            names = {str(n): run for n, run in enumerate(at_price)}
            best = best_of({name: run.worth(value) for name, run in names.items()})
            chosen = [names[name].outcomes[n] for n, name in enumerate(best)]
            shown.append(_Run(ORACLE, value, chosen))
        return shown


@lru_cache(maxsize=4)
def _read(directory: Path, source: str, system_tokens: int, seed: int) -> Trace:
    """Cached, because cells of one source follow each other."""
    return read_trace(directory, source, system_tokens=system_tokens, seed=seed)


def _by_thousands(rates: RateSource) -> RateSource:
    """Looks rates up once per thousand tokens, rounded up: tiers begin above round numbers."""

    @lru_cache(maxsize=4096)
    def of_size(model: str, thousands: int) -> Rates | None:
        return rates(model, 1000 * thousands)

    return lambda model, tokens: of_size(model, -(-tokens // 1000))


def _thinned(trace: Trace, every: int) -> Trace:
    if every == 1:
        return trace
    return Trace(name=trace.name, has_common_clock=trace.has_common_clock, conversations=trace.conversations[::every])


def _rows(runs: Sequence[_Run], baseline: _Run, value: float, bootstrap: Bootstrap) -> list[Row]:
    pairs = [_row(run, baseline, value, bootstrap) for run in runs]
    nets = {row.policy: (row.net_usd.value, sums) for row, sums in pairs}
    return [
        replace(
            row,
            share_of_oracle=_share(row.net_usd.value, nets.get(ORACLE)),
            share_of_informed=_share(row.net_usd.value, nets.get(INFORMED)),
            behind_ours_usd=_behind((row.net_usd.value, sums), nets.get(OURS)),
        )
        for row, sums in pairs
    ]


_Net = tuple[float, list[float]]
"""Net dollars, and in each resample."""


def _behind(net: _Net, ours: _Net | None) -> Interval | None:
    if ours is None:
        return None
    return interval(ours[0] - net[0], [more - less for more, less in zip(ours[1], net[1], strict=True)])


def _share(net_usd: float, of: _Net | None) -> float | None:
    return net_usd / of[0] if of is not None and of[0] > 0 else None


def _gains(run: _Run, baseline: _Run, bootstrap: Bootstrap) -> _Gains:
    pairs = list(zip(run.outcomes, baseline.outcomes, strict=True))
    saved = [before.seconds - outcome.seconds for outcome, before in pairs]
    extra = [float(outcome.dollars - before.dollars) for outcome, before in pairs]
    return saved, extra, bootstrap.sums(saved), bootstrap.sums(extra)


def _row(run: _Run, baseline: _Run, value: float, bootstrap: Bootstrap) -> tuple[Row, list[float]]:
    gains = run.gains or _gains(run, baseline, bootstrap)
    if run.value is None:
        run.gains = gains
    saved, extra, saved_sums, extra_sums = gains
    net_sums = [value * s - d for s, d in zip(saved_sums, extra_sums, strict=True)]
    waits = [wait for outcome in run.outcomes for wait in outcome.waits]
    spent = sum(float(outcome.warm_up_dollars) for outcome in run.outcomes)
    wasted = sum(float(outcome.wasted_dollars) for outcome in run.outcomes)
    row = Row(
        policy=run.policy,
        value_of_second_usd=value,
        ttft_p50=percentile(waits, 0.5),
        ttft_p95=percentile(waits, 0.95),
        ttft_mean=sum(waits) / len(waits) if waits else 0.0,
        saved_seconds=interval(sum(saved), saved_sums),
        extra_usd=interval(sum(extra), extra_sums),
        net_usd=interval(value * sum(saved) - sum(extra), net_sums),
        share_of_oracle=None,
        share_of_informed=None,
        behind_ours_usd=None,
        warm_ups=sum(outcome.warm_ups for outcome in run.outcomes),
        sends=len(waits),
        wasted_usd=wasted,
        wasted_share=wasted / spent if spent else 0.0,
        joins=sum(outcome.joins for outcome in run.outcomes),
    )
    return row, net_sums
