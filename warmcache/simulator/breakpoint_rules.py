"""Rules for `cache_control`: where it may stand, how many there may be, and the order of their TTLs."""

from typing import Any

from warmcache.core.catalog import ModelFacts
from warmcache.simulator.errors import invalid
from warmcache.simulator.prompt import TTL_SECONDS, Piece, as_blocks, can_carry_breakpoint, pieces_of

MAX_BREAKPOINTS = 4


def check_cache_control(cache_control: Any, path: str) -> None:
    """Refuses a `cache_control` of the wrong shape. None means no breakpoint."""
    if cache_control is None:
        return
    if not isinstance(cache_control, dict):
        raise invalid(f"{path}: Input should be a valid dictionary or object to extract fields from")
    if "type" not in cache_control:
        raise invalid(f"{path}.type: Field required")
    if cache_control["type"] != "ephemeral":
        raise invalid(f"{path}.type: Input should be 'ephemeral'")
    ttl = cache_control.get("ttl", "5m")
    if not isinstance(ttl, str) or ttl not in TTL_SECONDS:
        raise invalid(f"{path}.ttl: Input should be '5m' or '1h'")
    for key in cache_control:
        if key not in ("type", "ttl"):
            raise invalid(f"{path}.{key}: Extra inputs are not permitted")


def check_breakpoints(body: dict[str, Any], facts: ModelFacts) -> None:
    """Refuses too many breakpoints and a longer TTL after a shorter one. The body is otherwise valid."""
    pieces = pieces_of(body, facts)
    marked = [(piece, piece.cache_control) for piece in pieces]
    explicit = [(piece, mark) for piece, mark in marked if mark is not None]
    deferred = sum(1 for tool in body.get("tools") or [] if tool.get("defer_loading") and _marked(tool))
    count = deferred + sum(max(1, len(piece.nested) + _marked(piece.block)) for piece, _ in explicit)
    automatic = body.get("cache_control")
    last = _last_cacheable(pieces) if automatic else None
    if last is not None and automatic is not None:
        if last.cache_control is None:
            count += 1
            explicit.append((last, automatic))
        elif _ttl_name(last.cache_control) != _ttl_name(automatic):
            raise invalid(
                f"cache_control: the last cacheable block ({last.path}) already has a cache_control with "
                f"ttl='{_ttl_name(last.cache_control)}', which differs from the top-level "
                f"ttl='{_ttl_name(automatic)}'."
            )
    if count > MAX_BREAKPOINTS:
        raise invalid(f"A maximum of {MAX_BREAKPOINTS} blocks with cache_control may be provided. Found {count}.")
    _check_ttl_order(explicit)


def _check_ttl_order(marked: list[tuple[Piece, dict[str, Any]]]) -> None:
    short_seen = False
    for piece, mark in marked:
        if _ttl_name(mark) == "5m":
            short_seen = True
        elif short_seen:
            raise invalid(
                f"{piece.path}.cache_control.ttl: a ttl='1h' cache_control block must not come after a "
                "ttl='5m' cache_control block. Note that blocks are processed in the following order: "
                "`tools`, `system`, `messages`."
            )


def _last_cacheable(pieces: list[Piece]) -> Piece | None:
    return next((piece for piece in reversed(pieces) if can_carry_breakpoint(piece.block)), None)


def _ttl_name(cache_control: dict[str, Any]) -> str:
    return str(cache_control.get("ttl") or "5m")


def _marked(block: dict[str, Any]) -> int:
    return 1 if block.get("cache_control") else 0


def check_text(text: Any, path: str, *, marked: bool, where: str, may_be_blank: bool = False) -> None:
    """Refuses a text that is missing, empty or blank; an empty one with a breakpoint has its own wording."""
    if not isinstance(text, str):
        raise invalid(f"{path}.text: Input should be a valid string")
    if not text and marked:
        raise invalid(f"{path}.text: cache_control cannot be set for empty text blocks")
    if not text:
        raise invalid(f"{where}: text content blocks must be non-empty")
    if not may_be_blank and not text.strip():
        raise invalid(f"{where}: text content blocks must contain non-whitespace text")


def check_system(system: Any) -> None:
    """Refuses a `system` that is neither a string nor text blocks."""
    if system is None or isinstance(system, str):
        return
    if not isinstance(system, list):
        raise invalid("system: Input should be a valid string or a list of text blocks")
    for n, block in enumerate(as_blocks(system)):
        path = f"system.{n}"
        if not isinstance(block, dict):
            raise invalid(f"{path}: Input should be a valid dictionary or object to extract fields from")
        if block.get("type") != "text":
            raise invalid(f"{path}.type: Input should be 'text'")
        check_cache_control(block.get("cache_control"), f"{path}.cache_control")
        check_text(block.get("text"), path, marked=bool(block.get("cache_control")), where="system")
