"""Command-line flags of the simulator, shared by `python -m warmcache.simulator` and the management command."""

import argparse
from collections.abc import Mapping
from typing import Any

from warmcache.simulator.latency import AUTO, PROFILES
from warmcache.simulator.limits import Limits
from warmcache.simulator.provider import Options
from warmcache.simulator.tokenizers import RULE_OF_THUMB, TOKENIZERS


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the simulator's flags to a parser."""
    add = parser.add_argument
    add("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    add("--port", type=_port, default=0, help="port to listen on; 0 takes a free one (default: %(default)s)")
    add("--profile", choices=(AUTO, *PROFILES), default=AUTO, help="how fast it answers (default: by the model)")
    add("--seed", type=int, default=1, help="repeats the same noise and replies (default: %(default)s)")
    add("--noise", type=_noise, default=0.25, help="sigma of the latency; 0 is exact (default: %(default)s)")
    add("--api-key", action="append", default=[], metavar="KEY", help="accept only this key; may be repeated")
    add("--rpm", type=_limit, metavar="N", help="limit requests per minute and model (default: off)")
    add("--itpm", type=_limit, metavar="N", help="limit uncached input tokens per minute (default: off)")
    add("--otpm", type=_limit, metavar="N", help="limit output tokens per minute (default: off)")
    add(
        "--renders-config-first",
        action="store_true",
        help="thinking and effort stand ahead of the tools, so that changing them loses the whole prefix",
    )
    add(
        "--abandoned-calls-write",
        action="store_true",
        help="a call that its client drops before the response still writes its cache entries",
    )
    add(
        "--tokenizer",
        choices=(RULE_OF_THUMB, *TOKENIZERS),
        default=RULE_OF_THUMB,
        help="how it counts text (default: characters, by the model's rule of thumb)",
    )
    add(
        "--exit-with-stdin",
        action="store_true",
        help="end when standard input ends, so that the simulator dies with its parent; ignores Ctrl-C",
    )


def options_from(flags: Mapping[str, Any]) -> Options:
    """The provider's options from parsed flags."""
    return Options(
        profile=flags["profile"],
        noise=flags["noise"],
        seed=flags["seed"],
        api_keys=frozenset(flags["api_key"]),
        limits=Limits(requests=flags["rpm"], input_tokens=flags["itpm"], output_tokens=flags["otpm"]),
        renders_config_first=flags["renders_config_first"],
        tokenizer=flags["tokenizer"],
        abandoned_calls_write=flags["abandoned_calls_write"],
    )


def _port(text: str) -> int:
    if not text.isdecimal() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is no port: give a number from 0 to 65535")
    return int(text)


def _noise(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 2:
        raise argparse.ArgumentTypeError(f"{text!r} is no noise: give a number from 0 to 2")
    return value


def _limit(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no limit: give a whole number above 0")
    return int(text)
