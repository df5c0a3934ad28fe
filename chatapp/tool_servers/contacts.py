"""How a server is asked, from its row and the environment, and what it answered."""

import os
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum, auto

from django.conf import settings
from django.utils.translation import gettext

from chatapp.models import McpServer
from chatapp.tool_servers.addresses import Refused, problem_of_url
from chatapp.tool_servers.definitions import Definition

SECRET_VARIABLE = re.compile(r"MCP_SECRET_[A-Z0-9_]+")
HEADER = re.compile(r"[A-Za-z][A-Za-z0-9-]*")
OWN_HEADERS = ("host", "cookie", "connection", "transfer-encoding", "te", "upgrade", "accept", "accept-encoding")
OWN_PREFIXES = ("content-", "mcp-", "proxy-", "sec-", "last-event")


@dataclass(frozen=True, slots=True, kw_only=True)
class Contact:
    url: str
    headers: Mapping[str, str]
    private_hosts: Collection[str]


class CallOutcome(StrEnum):
    """How a call ended, as it is counted."""

    ANSWERED = auto()
    ERROR = auto()
    """The tool's own."""
    CHANGED = auto()
    """It was not made: the tool is defined otherwise now."""
    FAILED = auto()


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """Of one call. `is_changed`: it was not made, because the server defines the tool otherwise: as `found`, or no
    longer."""

    texts: Sequence[str] = ()
    is_error: bool = False
    is_changed: bool = False
    found: Definition | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """The tools of a server by name, and a sentence for each that no model can be told of."""

    tools: dict[str, Definition] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)


def contact_with(server: McpServer) -> Contact:
    """Raises `Refused` where its row or the environment are not as they should be."""
    if problem := problem_of_url(server.url, private_hosts=settings.MCP_PRIVATE_HOSTS):
        raise Refused(problem)
    if problem := problem_of_secret(server):
        raise Refused(problem)
    headers = {server.header: os.environ[server.secret_variable]} if server.header else {}
    return Contact(url=server.url, headers=headers, private_hosts=tuple(settings.MCP_PRIVATE_HOSTS))


def problem_of_header(header: str, variable: str) -> str | None:
    """Why a secret cannot be sent like this, in a sentence; None if it can."""
    if not header and not variable:
        return None
    if not (header and variable):
        return gettext("A secret needs both: a header that carries it, and the name of the variable that holds it.")
    if not HEADER.fullmatch(header) or header.lower() in OWN_HEADERS or header.lower().startswith(OWN_PREFIXES):
        return gettext("%(header)r is no header for a secret.") % {"header": header}
    if not SECRET_VARIABLE.fullmatch(variable):
        return gettext("The name of the variable begins with MCP_SECRET_, and has capital letters, digits and _ alone.")
    return None


def problem_of_secret(server: McpServer) -> str | None:
    """Why its secret cannot be sent now, in a sentence for the operator; None if it can, or if it has none."""
    if not server.header and not server.secret_variable:
        return None
    if problem := problem_of_header(server.header, server.secret_variable):
        return problem
    value = os.environ.get(server.secret_variable, "")
    if not value:
        told = gettext("The environment has no %(variable)s, so %(server)s cannot be asked: set it and restart.")
        return told % {"variable": server.secret_variable, "server": server.name}
    if not value.isascii() or not value.isprintable():
        return gettext("%(variable)s holds what no header can carry.") % {"variable": server.secret_variable}
    return None
