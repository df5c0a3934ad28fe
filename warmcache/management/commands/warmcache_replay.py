"""`manage.py warmcache_replay`: what each policy would have cost and saved on recorded traffic."""

import argparse
import itertools
import json
import multiprocessing
import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from warmcache.replay.charts import chart
from warmcache.replay.people import Habits
from warmcache.replay.policies import fixed_policy
from warmcache.replay.study import BASELINE, INFORMED, ORACLE, OURS, Block, Cell, Study
from warmcache.replay.tables import as_json, losses, sweep, table, verdicts
from warmcache.replay.trace_files import TraceError, name_of, tables_in
from warmcache.replay.traces import SOURCES, must_be_rebuilt
from warmcache.simulator.latency import AUTO, PROFILES
from warmcache.upstream.prices import rates_for

DEFAULT_TRACES = Path("..") / "shared" / "data" / "traces"
POLICIES = (BASELINE, "always-on-typing", "on-open", "keepalive-3", "1h", OURS, INFORMED, ORACLE)
RIVALS = (BASELINE, "always-on-typing", "on-open", "keepalive-1", "keepalive-3", "keepalive-12", "1h", OURS, INFORMED)
"""What `--verdicts` compares: no oracle, which no rule reaches, and more of the simple ones."""
MODELS = ("claude-sonnet-5-5", "claude-opus-5-5")
OLD_PROFILE = "2024"
SYSTEM_TOKENS = (1000, 4000, 16_000)
SWEEP_EVERY = {"claude_code": 16, "mooncake_conversation": 16}
SWEEP_VALUE = 0.05
WORKERS = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One cell, ready to run in another process."""

    directory: Path
    teach: Path | None
    cell: Cell
    policies: tuple[str, ...]
    values: tuple[float, ...]


class Command(BaseCommand):
    """Reads traces, writes a table; touches no database and no network."""

    help = "Replay recorded traffic against the simulated prompt cache under several warming policies."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Lists are given with spaces between their parts."""
        parser.add_argument(
            "--traces", type=Path, default=DEFAULT_TRACES, metavar="DIR", help="a folder of tables, or one table"
        )
        parser.add_argument(
            "--policies",
            nargs="+",
            help=f"also keepalive-N; {INFORMED}: {OURS} with all rates known beforehand, by size of the prompt",
        )
        parser.add_argument(
            "--teach",
            type=Path,
            metavar="DIR",
            help=f"the folder that {INFORMED} has learned from (default: the same one, which flatters it)",
        )
        parser.add_argument(
            "--sources", nargs="+", metavar="NAME", help="tables in the folder, without .csv.gz (default: all)"
        )
        parser.add_argument(
            "--first-hours",
            action="store_true",
            help=f"play only first hours of labels that {OURS} knows nothing of: each hour, or session, is one",
        )
        parser.add_argument(
            "--verdicts",
            action="store_true",
            help=f"play all of it and the first hours, and print only where a simpler policy does better than {OURS}",
        )
        parser.add_argument("--models", nargs="+", default=list(MODELS))
        parser.add_argument(
            "--profiles",
            nargs="+",
            default=[AUTO, OLD_PROFILE],
            choices=[AUTO, *PROFILES],
            help=f"latency; {AUTO}: the model's own. A profile after the first is run with the first model only",
        )
        parser.add_argument("--value-of-second", nargs="+", type=_price, default=[0.01, 0.05, 0.20], metavar="USD")
        parser.add_argument("--abandonment", nargs="+", type=_share, default=[0.13], metavar="SHARE")
        parser.add_argument(
            "--no-sweep", action="store_true", help="leave out the section on what is assumed of people"
        )
        parser.add_argument("--json", type=Path, metavar="FILE")
        parser.add_argument("--svg", type=Path, metavar="FILE")
        parser.add_argument("--seed", type=int, default=1)

    def handle(self, *args: Any, **options: Any) -> None:
        """Prints the table; raises `CommandError` where there is nothing to read."""
        try:
            options["policies"] = options["policies"] or list(RIVALS if options["verdicts"] else POLICIES)
            options["no_sweep"] |= options["verdicts"]
            _find_tables(options)
            self._check(options)
            main, varied = list(_main_jobs(options)), [] if options["no_sweep"] else list(_sweep_jobs(options))
            blocks = list(_run_all([*main, *varied]))
        except TraceError as error:
            raise CommandError(str(error)) from error
        shown, swept = blocks[: len(main)], blocks[len(main) :]
        if options["verdicts"]:
            told = itertools.chain(verdicts(shown), losses(shown))
        else:
            told = itertools.chain(table(shown), verdicts(shown), sweep(swept) if swept else ())
        for line in told:
            self.stdout.write(line)
        if options["json"]:
            options["json"].write_text(json.dumps(as_json(blocks), indent=1, default=str), encoding="utf-8")
        if options["svg"]:
            options["svg"].write_text(_picture(shown, options["value_of_second"]), encoding="utf-8")

    def _check(self, options: dict[str, Any]) -> None:
        for file in filter(None, (options["json"], options["svg"])):
            if file.is_dir() or not os.access(file.parent, os.W_OK):
                raise CommandError(f"{file} cannot be written: name a file in a folder that takes one.")
        for name in options["policies"]:
            if name not in (OURS, INFORMED, ORACLE):
                try:
                    fixed_policy(name)
                except ValueError as error:
                    raise CommandError(str(error)) from error
        unpriced = [model for model in options["models"] if rates_for(model, 1) is None]
        if unpriced:
            raise CommandError(f"There is no price for {unpriced[0]}.")


def _price(text: str) -> float:
    """The price of a second, in US dollars."""
    return _number(text, most=1_000_000)


def _share(text: str) -> float:
    """The share of abandoned starts. People start again until they send: with a share of 1 nobody ever would."""
    return _number(text, most=0.9)


def _number(text: str, *, most: float) -> float:
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not 0 <= number <= most:
        raise argparse.ArgumentTypeError(f"{text!r} must be a number from 0 to {most:g}")
    return number


def _find_tables(options: dict[str, Any]) -> None:
    """Decides which tables are read; raises `TraceError` for one that cannot be."""
    if options["traces"].is_file():
        options["sources"] = [name_of(options["traces"]) or options["traces"].name]
        options["traces"] = options["traces"].parent
    if not options["sources"]:
        options["sources"] = tables_in(options["traces"], known=SOURCES)
    if not options["sources"]:
        raise TraceError(f"There is no table of requests in {options['traces']}: give the folder with --traces.")
    options["rebuilt"] = {name for name in options["sources"] if must_be_rebuilt(options["traces"], name)}


def _cells(options: dict[str, Any]) -> Iterator[tuple[str, int, str, str]]:
    """(source, system tokens, model, profile)."""
    pairs = [(model, options["profiles"][0]) for model in options["models"]]
    pairs += [(options["models"][0], profile) for profile in options["profiles"][1:]]
    for source in options["sources"]:
        for system_tokens in SYSTEM_TOKENS if source in options["rebuilt"] else (0,):
            for model, profile in pairs:
                yield source, system_tokens, model, profile


def _main_jobs(options: dict[str, Any]) -> Iterator[Job]:
    parts = (False, True) if options["verdicts"] else (options["first_hours"],)
    for abandonment, is_first_hours in itertools.product(options["abandonment"], parts):
        for source, system_tokens, model, profile in _cells(options):
            yield Job(
                directory=options["traces"],
                teach=options["teach"],
                cell=Cell(
                    source=source,
                    system_tokens=system_tokens,
                    model=model,
                    profile=profile,
                    habits=Habits(seed=options["seed"], abandonment=abandonment),
                    first_hours=is_first_hours,
                ),
                policies=tuple(options["policies"]),
                values=tuple(options["value_of_second"]),
            )


def _sweep_jobs(options: dict[str, Any]) -> Iterator[Job]:
    seed = options["seed"]
    people = [Habits(seed=seed, abandonment=share) for share in (0.0, 0.13, 0.20, 0.33)]
    people += [Habits(seed=seed, duration_factor=factor) for factor in (0.7, 0.0)]
    people += [Habits(seed=seed, paste_characters=count) for count in (200, 600)]
    for source in options["sources"]:
        for habits in people:
            yield Job(
                directory=options["traces"],
                teach=options["teach"],
                cell=Cell(
                    source=source,
                    system_tokens=SYSTEM_TOKENS[-1] if source in options["rebuilt"] else 0,
                    model=options["models"][0],
                    profile=options["profiles"][0],
                    habits=habits,
                    every=SWEEP_EVERY.get(source, 1),
                    first_hours=options["first_hours"],
                ),
                policies=(BASELINE, OURS, ORACLE),
                values=(SWEEP_VALUE,),
            )


def _run(job: Job) -> Block:
    return Study(
        job.directory, job.cell, policies=job.policies, values=job.values, rates=rates_for, teach=job.teach
    ).run()


def _run_all(jobs: Sequence[Job]) -> Iterator[Block]:
    """Runs all jobs, results in order; in two processes if the platform can fork."""
    can_fork = "fork" in multiprocessing.get_all_start_methods() and (os.cpu_count() or 1) > 1
    if not can_fork or len(jobs) < 2:
        yield from _shown(map(_run, jobs), len(jobs))
        return
    with multiprocessing.get_context("fork").Pool(WORKERS) as pool:
        yield from _shown(pool.imap(_run, jobs), len(jobs))


def _shown(blocks: Iterator[Block], count: int) -> Iterator[Block]:
    """Shows progress on standard error, for a person who watches."""
    watched = sys.stderr.isatty()
    for done, block in enumerate(blocks, 1):
        if watched:
            filled = 40 * done // count
            sys.stderr.write(f"\r[{'#' * filled}{'.' * (40 - filled)}] {done}/{count}")
            sys.stderr.flush()
        yield block
    if watched:
        sys.stderr.write("\n")


def _picture(blocks: Sequence[Block], values: Sequence[float]) -> str:
    """A chart with each source once: the first model and profile that it was run with."""
    first: dict[str, Block] = {}
    for block in blocks:
        first.setdefault(block.name, block)
    middle = sorted(values)[len(values) // 2]
    return chart(list(first.values()), middle)
