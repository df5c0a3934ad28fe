"""What each Claude model accepts and when it caches, as documented on 2026-11-22.

Source: the provider's documentation pages "Prompt caching", "Thinking", "Effort", "Pricing", "Errors" and the
model pages, as they stood on that date. Prices are not here: they change often and come from `genai-prices`.
Entries marked "assumed" are not documented for that exact model; they follow its siblings.
"""

from dataclasses import dataclass, replace

from warmcache.core.model_names import known_names

_NEW_TOKENISER = 2.5
_OLD_TOKENISER = 3.4
_LARGEST_DOCUMENTED_MINIMUM = 4096

_ADAPTIVE = frozenset({"adaptive"})
_ADAPTIVE_OR_OFF = frozenset({"adaptive", "disabled"})
_MANUAL = frozenset({"enabled", "disabled"})

_ALL_EFFORTS = frozenset({"low", "medium", "high", "xhigh", "max"})
_EFFORTS_OF_4_6 = _ALL_EFFORTS - {"xhigh"}
_EFFORTS_OF_4_5 = frozenset({"low", "medium", "high"})


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFacts:
    """Documented behaviour of one model that decides whether a request is accepted and cached."""

    model: str
    min_prefix_tokens: int
    """Shorter prefixes are not cached, and no error says so."""
    chars_per_token: float
    """Rule of thumb for English text; the new tokeniser produces about 30 % more tokens."""
    context_tokens: int
    max_output_tokens: int
    thinking: frozenset[str]
    """Accepted values of `thinking.type`; omitting `thinking` is always accepted."""
    allows_forced_tool_choice: bool
    """Whether `tool_choice` may be `any` or `tool`."""
    allows_assistant_prefill: bool
    """Whether the messages may end with an assistant turn."""
    allows_system_role: bool
    """Whether a `system` message may appear between the turns."""
    tool_prompt_tokens: int
    """Hidden prompt that the API adds as soon as the request has a tool."""
    known: bool
    """False for a model that this catalogue does not know: every value is then the cautious one."""
    default_thinking: str = "adaptive"
    """What omitting `thinking` means: `adaptive` or `disabled`."""
    default_effort: str = "high"
    efforts: frozenset[str] = _ALL_EFFORTS
    """Accepted values of `output_config.effort`; empty for a model that refuses the parameter."""
    allows_inference_geo: bool = True
    """Whether the request may say where it is answered (`inference_geo`)."""
    allows_sampling: bool = False
    """Whether sampling parameters may differ from their defaults (only with API version 2023-06-01)."""
    keeps_past_thinking: bool = True
    """False if thinking blocks of earlier turns are stripped from the prompt."""
    shows_thinking_by_default: bool = False
    """Whether `thinking.display` defaults to `summarized` (older models) or to `omitted`."""
    released: str = ""
    """ISO date, or an empty string if it is not documented."""

    @property
    def always_thinks(self) -> bool:
        """Whether no accepted `thinking` value turns up-front thinking off."""
        return self.default_thinking == "adaptive" and self.thinking <= {"adaptive"}


_FIVE = ModelFacts(
    model="",
    min_prefix_tokens=512,
    chars_per_token=_NEW_TOKENISER,
    context_tokens=1_000_000,
    max_output_tokens=128_000,
    thinking=_ADAPTIVE,
    allows_forced_tool_choice=False,
    allows_assistant_prefill=False,
    allows_system_role=True,
    tool_prompt_tokens=286,
    known=True,
)
_FIVE_OPEN = replace(_FIVE, allows_forced_tool_choice=True)
_FOUR = replace(
    _FIVE_OPEN,
    min_prefix_tokens=1024,
    allows_system_role=False,
    default_thinking="disabled",
)
_FOUR_OLD = replace(
    _FOUR,
    chars_per_token=_OLD_TOKENISER,
    allows_sampling=True,
    shows_thinking_by_default=True,
    thinking=_ADAPTIVE_OR_OFF | _MANUAL,
    efforts=_EFFORTS_OF_4_6,
)
_FOUR_FIVE = replace(
    _FOUR_OLD,
    context_tokens=200_000,
    max_output_tokens=64_000,
    thinking=_MANUAL,
    allows_assistant_prefill=True,
    efforts=frozenset(),
    allows_inference_geo=False,
)

_HAIKU_4_5 = replace(_FOUR_FIVE, min_prefix_tokens=4096, tool_prompt_tokens=496, keeps_past_thinking=False)
_OPUS_4_5 = replace(_FOUR_FIVE, min_prefix_tokens=4096, efforts=_EFFORTS_OF_4_5)
_SONNET_4_5 = replace(_FOUR_FIVE, keeps_past_thinking=False)

# Assumed: the minimum of Fable 5.2 and Mythos 5.2; the system role on Opus 5.5, Haiku 5.5 and Mythos; `disabled` on
# Haiku 5.5; the tool prompt of every model but Opus 5 and 5.5, Haiku 5.5 and 4.5, and Sonnet 5.
_ROWS: dict[str, ModelFacts] = {
    "claude-fable-5-2": replace(_FIVE, released="2026-11-09"),
    "claude-mythos-5-2": replace(_FIVE, released="2026-11-09"),
    "claude-haiku-5-5": replace(_FIVE_OPEN, thinking=_ADAPTIVE_OR_OFF, default_effort="medium", released="2026-10-07"),
    "claude-sonnet-5-5": replace(_FIVE, thinking=frozenset({"adaptive", "between_tools"}), released="2026-09-28"),
    "claude-opus-5-5": replace(_FIVE, default_effort="medium", released="2026-09-22"),
    "claude-fable-5-1": replace(_FIVE, released="2026-09-01"),
    "claude-mythos-5-1": replace(_FIVE, released="2026-09-01"),
    "claude-opus-5": replace(_FIVE_OPEN, thinking=_ADAPTIVE_OR_OFF, released="2026-07-24"),
    "claude-sonnet-5": replace(
        _FIVE_OPEN,
        min_prefix_tokens=1024,
        thinking=_ADAPTIVE_OR_OFF,
        allows_system_role=False,
        tool_prompt_tokens=354,
        released="2026-06-30",
    ),
    "claude-fable-5": replace(_FIVE_OPEN, released="2026-06-09"),
    "claude-mythos-5": replace(_FIVE_OPEN, released="2026-06-09"),
    "claude-mythos-preview": replace(_FIVE_OPEN, min_prefix_tokens=2048, allows_system_role=False),
    "claude-opus-4-8": replace(_FOUR, thinking=_ADAPTIVE_OR_OFF, allows_system_role=True),
    "claude-opus-4-7": replace(_FOUR, thinking=_ADAPTIVE_OR_OFF, min_prefix_tokens=2048),
    "claude-opus-4-6": replace(_FOUR_OLD, min_prefix_tokens=4096),
    "claude-sonnet-4-6": _FOUR_OLD,
    "claude-opus-4-5": replace(_OPUS_4_5, released="2025-11-01"),
    "claude-opus-4-5-20251101": replace(_OPUS_4_5, released="2025-11-01"),
    "claude-haiku-4-5": replace(_HAIKU_4_5, released="2025-10-01"),
    "claude-haiku-4-5-20251001": replace(_HAIKU_4_5, released="2025-10-01"),
    "claude-sonnet-4-5": replace(_SONNET_4_5, released="2025-09-29"),
    "claude-sonnet-4-5-20250929": replace(_SONNET_4_5, released="2025-09-29"),
}

KNOWN_MODELS: dict[str, ModelFacts] = {model: replace(facts, model=model) for model, facts in _ROWS.items()}
"""Every documented model by id, newest generation first."""

# Models that people run themselves and that we have tried. llama.cpp reuses whatever two prompts have in common,
# however short; the window is the one that `make run-local` gives it.
_LOCAL_MODELS = {
    "smollm2-135m": replace(
        _FOUR_FIVE,
        model="smollm2-135m",
        min_prefix_tokens=1,
        context_tokens=8192,
        max_output_tokens=2048,
        thinking=frozenset(),
        allows_forced_tool_choice=False,
        allows_assistant_prefill=False,
        allows_sampling=True,
        tool_prompt_tokens=0,
    )
}

# Cautious in each direction: the largest minimum (no promise of a cache entry that does not exist), the denser
# tokeniser (no underestimated cost), the smallest windows, and no optional feature.
_UNKNOWN = replace(
    _FOUR_FIVE,
    min_prefix_tokens=_LARGEST_DOCUMENTED_MINIMUM,
    chars_per_token=_NEW_TOKENISER,
    thinking=frozenset(),
    allows_forced_tool_choice=False,
    allows_assistant_prefill=False,
    allows_sampling=False,
    tool_prompt_tokens=496,
    known=False,
)


MAX_NAMES = 1000
_FOUND: dict[str, ModelFacts] = {**KNOWN_MODELS, **_LOCAL_MODELS}
"""What was looked up before: a name is parsed once."""


def facts_for(model: str) -> ModelFacts:
    """The facts of `model`; for an undocumented id, cautious defaults with `known=False`."""
    found = _FOUND.get(model)
    if found is None:
        names = [name for name in known_names(model) if name in KNOWN_MODELS]
        found = replace(KNOWN_MODELS[names[0]] if names else _UNKNOWN, model=model)
        if len(_FOUND) < MAX_NAMES:
            _FOUND[model] = found
    return found
