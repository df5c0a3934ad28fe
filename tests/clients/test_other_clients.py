"""Five clients by others chat, stream, call tools, get structured output and read the cache, as the table says."""

import asyncio
import json
import os
import re
from pathlib import Path
from typing import Any

import pytest

from tests.clients.environments import CLIENTS, HERE, Client
from tests.warmcache.simulated import simulated

TABLE = HERE.parents[1] / "warmcache" / "simulator" / "README.md"
COLUMNS = ("version", "chat", "streaming", "tools", "structured", "cache_read")
NOT_OFFERED = "-"


def row_of(client: Client) -> dict[str, str]:
    found = re.search(rf"^\| `{client.package}` \|(.*)\|$", TABLE.read_text(), re.MULTILINE)
    assert found, f"{TABLE} has no row for {client.package}"
    return dict(zip(COLUMNS, (cell.strip() for cell in found[1].split("|")), strict=True))


def environment(home: Path) -> dict[str, str]:
    """No key or address of this machine, nothing fetched from elsewhere, and a home of its own."""
    apart = {"HOME": str(home), "LLM_USER_PATH": str(home), "LITELLM_LOCAL_MODEL_COST_MAP": "True"}
    return {"PATH": os.environ["PATH"], "LITELLM_LOCAL_ANTHROPIC_BETA_HEADERS": "True", **apart}


async def told_by(client: Client, url: str, home: Path) -> dict[str, Any]:
    asked = await asyncio.create_subprocess_exec(
        str(client.python),
        str(client.script),
        url,
        env=environment(home),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    answer, complaints = await asked.communicate()
    assert asked.returncode == 0, complaints.decode()
    told: dict[str, Any] = json.loads(answer)
    return told


@pytest.mark.parametrize("client", CLIENTS, ids=lambda client: client.package)
def test_the_table_names_the_version_that_is_tried(client: Client) -> None:
    assert row_of(client)["version"] == client.version


@pytest.mark.soak
@pytest.mark.parametrize("client", CLIENTS, ids=lambda client: client.package)
async def test_a_client_by_others_does_what_the_table_says(client: Client, tmp_path: Path) -> None:
    if not client.is_installed:
        pytest.skip(f"{client.requirement} is not installed; `make soak` installs it under var/clients/")
    async with simulated() as side:
        told = await told_by(client, side.config.base_url, tmp_path)

        assert dict.fromkeys(COLUMNS, NOT_OFFERED) | told == row_of(client)
        assert all(exchange.status == 200 for exchange in side.exchanges)
