"""The way to the servers for everybody else, bounded in time. The `mcp` package is imported at the first use."""

import asyncio
import importlib
from collections.abc import Mapping
from typing import Any

from django.utils.translation import gettext, gettext_noop

from chatapp.models import McpServer
from chatapp.tool_servers.addresses import Refused
from chatapp.tool_servers.contacts import Answer, Listing, contact_with

LOOK_SECONDS = 20.0
CALL_SECONDS = 30.0
TOO_SLOW = gettext_noop("It took too long.")


async def tools_of(server: McpServer) -> Listing:
    """What it says of its tools now. Raises `Refused`."""
    contact = contact_with(server)
    sessions = await _sessions()
    try:
        async with asyncio.timeout(LOOK_SECONDS):
            listing: Listing = await sessions.tools_of(contact)
    except TimeoutError:
        raise Refused(gettext(TOO_SLOW)) from None
    return listing


async def call(server: McpServer, name: str, digest: str, given: Mapping[str, Any]) -> Answer:
    """Calls the tool of this name, if it is still defined as `digest` says. Raises `Refused`."""
    contact = contact_with(server)
    sessions = await _sessions()
    try:
        async with asyncio.timeout(CALL_SECONDS):
            answer: Answer = await sessions.call(contact, name, digest, given)
    except TimeoutError:
        raise Refused(gettext(TOO_SLOW)) from None
    return answer


async def _sessions() -> Any:
    return await asyncio.to_thread(importlib.import_module, "chatapp.tool_servers.sessions")
