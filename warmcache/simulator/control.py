"""Control endpoints for tests and demos. They answer on loopback only, and never to a web page.

POST   /simulator/faults     one fault, or {"faults": [...]}; fields and kinds in `faults.py`
GET    /simulator/faults     the waiting faults
DELETE /simulator/faults     removes them
POST   /simulator/release    continues every call that stalls now
GET    /simulator/requests   the journal: ?limit=20 newest, ?after=7 only later numbers, ?bodies=0 without bodies
DELETE /simulator/requests   empties the journal
POST   /simulator/script     one scripted reply, or {"replies": [...]}; fields in `scripts.py`
DELETE /simulator/script     returns to composed replies
POST   /simulator/advance    {"seconds": n}: moves the cache clock forward
POST   /simulator/evict      {"workspace_id": null, "share": 1.0}: drops entries before they expire
GET    /simulator/entries    the live cache entries
POST   /simulator/reset      restores the initial state
"""

import json
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from ipaddress import ip_address
from typing import Any

from aiohttp import web

from warmcache.simulator.errors import ApiError, invalid
from warmcache.simulator.faults import BadFaultError, read_fault
from warmcache.simulator.provider import Simulator
from warmcache.simulator.scripts import BadScriptError, read_script

_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
_MAX_ADVANCE_SECONDS = 365 * 24 * 3600


def add_control_routes(app: web.Application, simulator: Simulator) -> None:
    """Mounts the control endpoints under `/simulator/`."""
    control = _Control(simulator)
    for method, path, handler in (
        ("POST", "faults", control.add_faults),
        ("GET", "faults", control.list_faults),
        ("DELETE", "faults", control.clear_faults),
        ("POST", "release", control.release),
        ("GET", "requests", control.list_requests),
        ("DELETE", "requests", control.clear_requests),
        ("POST", "script", control.add_scripts),
        ("DELETE", "script", control.clear_scripts),
        ("POST", "advance", control.advance),
        ("POST", "evict", control.evict),
        ("GET", "entries", control.list_entries),
        ("POST", "reset", control.reset),
    ):
        app.router.add_route(method, f"/simulator/{path}", _guarded(handler))


class _Control:
    def __init__(self, simulator: Simulator) -> None:
        self._simulator = simulator

    async def add_faults(self, request: web.Request) -> web.StreamResponse:
        data = await _json(request)
        try:
            faults = [read_fault(item) for item in _items(data, "faults")]
        except BadFaultError as error:
            raise invalid(str(error)) from error
        for fault in faults:
            self._simulator.faults.add(fault)
        return web.json_response({"queued": len(faults)})

    async def list_faults(self, request: web.Request) -> web.StreamResponse:
        return web.json_response({"faults": [asdict(fault) for fault in self._simulator.faults.waiting()]})

    async def clear_faults(self, request: web.Request) -> web.StreamResponse:
        self._simulator.faults.clear()
        return web.json_response({})

    async def release(self, request: web.Request) -> web.StreamResponse:
        self._simulator.faults.release()
        return web.json_response({})

    async def list_requests(self, request: web.Request) -> web.StreamResponse:
        limit = _whole(request, "limit")
        exchanges = self._simulator.journal.newest(limit, after=_whole(request, "after") or 0)
        shown = [exchange.as_json() for exchange in exchanges]
        if request.query.get("bodies") == "0":
            for item in shown:
                del item["body_base64"], item["parsed"]
        return web.json_response({"requests": shown})

    async def clear_requests(self, request: web.Request) -> web.StreamResponse:
        self._simulator.journal.clear()
        return web.json_response({})

    async def add_scripts(self, request: web.Request) -> web.StreamResponse:
        data = await _json(request)
        try:
            scripts = [read_script(item) for item in _items(data, "replies")]
        except BadScriptError as error:
            raise invalid(str(error)) from error
        for script in scripts:
            self._simulator.scripts.add(script)
        return web.json_response({"queued": len(self._simulator.scripts)})

    async def clear_scripts(self, request: web.Request) -> web.StreamResponse:
        self._simulator.scripts.clear()
        return web.json_response({})

    async def advance(self, request: web.Request) -> web.StreamResponse:
        data = await _json(request)
        seconds = data.get("seconds") if isinstance(data, dict) else None
        if not isinstance(seconds, int | float) or not 0 <= seconds <= _MAX_ADVANCE_SECONDS:
            raise invalid(f"seconds must be a number from 0 to {_MAX_ADVANCE_SECONDS}")
        self._simulator.engine.advance(seconds)
        return web.json_response({"advanced_seconds": seconds})

    async def evict(self, request: web.Request) -> web.StreamResponse:
        data = await _json(request) or {}
        share = data.get("share", 1.0) if isinstance(data, dict) else None
        if not isinstance(share, int | float) or not 0 <= share <= 1:
            raise invalid("share must be a number from 0 to 1")
        return web.json_response({"evicted": self._simulator.engine.evict(scope=data.get("workspace_id"), share=share)})

    async def list_entries(self, request: web.Request) -> web.StreamResponse:
        engine = self._simulator.engine
        now = engine.now()
        return web.json_response(
            {
                "entries": [
                    {
                        "workspace_id": entry.scope,
                        "model": entry.model,
                        "level": entry.level.name.lower(),
                        "tokens": entry.tokens,
                        "ttl_seconds": entry.ttl_seconds,
                        "expires_in_seconds": round(entry.expires_at - now, 3),
                    }
                    for entry in engine.entries(at=now)
                ]
            }
        )

    async def reset(self, request: web.Request) -> web.StreamResponse:
        self._simulator.reset()
        return web.json_response({})


def _guarded(handler: _Handler) -> _Handler:
    """Loopback only: the journal holds prompts. An `Origin` or a foreign `Host` means that a web page is attacking."""

    async def guarded(request: web.Request) -> web.StreamResponse:
        host = request.url.host or ""
        if not _is_loopback(request.remote or "") or not _is_loopback(host) or "Origin" in request.headers:
            raise ApiError(403, "The control endpoints answer on loopback only")
        return await handler(request)

    return guarded


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        address = ip_address(host)
        return (getattr(address, "ipv4_mapped", None) or address).is_loopback
    except ValueError:
        return False


async def _json(request: web.Request) -> Any:
    raw = await request.read()
    if not raw:
        return None
    try:
        return json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise invalid(f"not valid JSON: {error}") from None


def _items(data: Any, key: str) -> list[Any]:
    if isinstance(data, dict) and key in data:
        items = data[key]
        if not isinstance(items, list):
            raise invalid(f"{key} is a list")
        return items
    return [data]


def _whole(request: web.Request, name: str) -> int | None:
    text = request.query.get(name)
    if text is None:
        return None
    if not text.isdecimal():
        raise invalid(f"{name} must be a whole number")
    return int(text)
