"""A session with an MCP server: what tools it has, and one call of a tool. Nothing is kept from one to the next.

Imported late, in a thread: the `mcp` package takes more than a second of processor time, and most installations list no
server.
"""

import logging
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from itertools import islice
from typing import Any

import httpx2
from django.utils.translation import gettext
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.exceptions import MCPError
from mcp_types import CallToolResult, Implementation, TextContent

from chatapp.tool_servers.addresses import Refused, Resolve
from chatapp.tool_servers.contacts import Answer, Contact, Listing
from chatapp.tool_servers.definitions import MAX_TOOLS, defined
from chatapp.tool_servers.transport import MAX_ANSWER_BYTES, Transport

# Its lines quote what servers send. Whoever asks for a session tells of its failure.
logging.getLogger("mcp").setLevel(logging.CRITICAL)

MAX_PAGES = 20


async def tools_of(contact: Contact, *, resolve: Resolve | None = None) -> Listing:
    async with _session(contact, resolve=resolve) as client:
        return await _listed(client)


async def call(
    contact: Contact, name: str, digest: str, given: Mapping[str, Any], *, resolve: Resolve | None = None
) -> Answer:
    """Calls the tool if the server defines it now as it did when an operator looked."""
    async with _session(contact, resolve=resolve) as client:
        found = (await _listed(client)).tools.get(name)
        if found is None or found.digest != digest:
            return Answer(is_changed=True, found=found)
        try:
            result = await client.call_tool(name, dict(given))
        except MCPError as error:
            return Answer(texts=(f"The server refused the call: {error.error.message}",), is_error=True)
        return Answer(texts=_texts_of(result), is_error=result.is_error)


@asynccontextmanager
async def _session(contact: Contact, *, resolve: Resolve | None) -> AsyncIterator[Client]:
    """Raises `Refused` for whatever went wrong in it."""
    url = httpx2.URL(contact.url)
    transport = Transport(url, private_hosts=contact.private_hosts, resolve=resolve)
    failure: Refused | None = None
    try:
        # Time is bounded by whoever asks.
        async with httpx2.AsyncClient(
            transport=transport, headers=dict(contact.headers), timeout=None, trust_env=False, follow_redirects=False
        ) as http:
            stream = streamable_http_client(contact.url, http_client=http, max_sse_event_size=MAX_ANSWER_BYTES)
            async with Client(stream, cache=None, client_info=Implementation(name="warmcache", version="1")) as client:
                yield client
    except Exception as error:
        failure = transport.refusal or _refusal_in(error)
    if failure is not None:
        raise failure


def _refusal_in(error: BaseException) -> Refused:
    """Without what it says, which may quote what was asked or answered."""
    if isinstance(error, Refused):
        return error
    if isinstance(error, BaseExceptionGroup):
        return _refusal_in(error.exceptions[0])
    return Refused(gettext("It did not answer as an MCP server does (%(error)s).") % {"error": type(error).__name__})


async def _listed(client: Client) -> Listing:
    listing, cursor = Listing(), None
    for _ in range(MAX_PAGES):
        page = await client.list_tools(cursor=cursor)
        for tool in page.tools:
            try:
                definition = defined(tool.name, tool.description, tool.input_schema)
            except ValueError as refused:
                listing.problems.append(str(refused))
                continue
            listing.tools[definition.name] = definition
        cursor = page.next_cursor
        if not cursor or len(listing.tools) > MAX_TOOLS:
            break
    if len(listing.tools) <= MAX_TOOLS:
        return listing
    problem = gettext("It has more than %(most)d tools: the others are left out.") % {"most": MAX_TOOLS}
    return Listing(tools=dict(islice(listing.tools.items(), MAX_TOOLS)), problems=[*listing.problems, problem])


def _texts_of(result: CallToolResult) -> Sequence[str]:
    texts = [part.text if isinstance(part, TextContent) else f"({part.type}: left out)" for part in result.content]
    if not texts and result.structured_content is not None:
        return (str(result.structured_content),)
    return texts
