"""Where an MCP server may be."""

import pytest

from chatapp.tool_servers.addresses import Refused, checked, is_inside, problem_of_url

INSIDE = (
    *("127.0.0.1", "127.8.8.8", "0.0.0.0", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254"),  # noqa: S104
    *("100.64.0.1", "100.100.100.200", "168.63.129.16", "192.0.0.192", "198.18.0.1", "224.0.0.1", "255.255.255.255"),
    *("::1", "::", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::7f00:1", "fe80::1", "fe80::1%eth0", "fd00:ec2::254"),
    *("fec0::1", "ff02::1", "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "2002:7f00:1::", "2001:0:1::1", "2001:db8::1"),
    *("not an address", ""),
)
OUTSIDE = ("8.8.8.8", "1.1.1.1", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808")


@pytest.mark.parametrize("address", INSIDE)
def test_an_address_of_the_inside_is_known(address: str) -> None:
    assert is_inside(address)


@pytest.mark.parametrize("address", OUTSIDE)
def test_an_address_of_the_public_network_is_known(address: str) -> None:
    assert not is_inside(address)


@pytest.mark.parametrize(
    "url",
    [
        *("", "mcp.example.com", "ftp://mcp.example.com/", "https://", "https:///mcp", "https://[::1", "//a.example"),
        *("https://ann:pw@mcp.example.com/", "https://mcp.example.com/#a", "https://mcp.example.com/a b"),
        *("https://mcp.example.com:99999/", "http://mcp.example.com/mcp", "http://127.0.0.1/mcp", "http://localhost/"),
        *("https://127.0.0.1/", "https://2130706433/", "https://0x7f000001/", "https://127.1/", "https://0177.0.0.1/"),
        *("https://[::1]/", "https://[::ffff:127.0.0.1]/", "https://169.254.169.254/", "https://ex\tample.com/"),
        "https://exämple.com/",
    ],
)
def test_a_wrong_address_is_refused_in_a_sentence(url: str) -> None:
    assert (problem_of_url(url, private_hosts=()) or "").endswith(".")


@pytest.mark.parametrize(
    "url",
    [
        "https://mcp.example.com/mcp",
        "https://mcp.example.com:8443/mcp?a=b",
        "https://8.8.8.8/mcp",
        "http://127.0.0.1:9/mcp",
        "http://[::1]:9/mcp",
        "https://10.0.0.7/mcp",
        "https://mcp.local/",
    ],
)
def test_https_and_listed_hosts_are_taken(url: str) -> None:
    assert problem_of_url(url, private_hosts=["127.0.0.1", "[::1]", "10.0.0.7", "MCP.local"]) is None


def names(*addresses: str):
    """A name server that gives the same answer each time."""

    async def resolve(host: str, port: int) -> list[str]:
        return list(addresses)

    return resolve


async def test_each_address_behind_a_name_is_judged() -> None:
    assert await checked(
        "mcp.example.com", 443, is_plain=False, private_hosts=(), resolve=names("8.8.8.8", "2606:4700::1111")
    ) == ["8.8.8.8", "2606:4700::1111"]
    for found in (["127.0.0.1"], ["8.8.8.8", "10.0.0.1"], ["::ffff:169.254.169.254"], []):
        with pytest.raises(Refused):
            await checked("mcp.example.com", 443, is_plain=False, private_hosts=(), resolve=names(*found))


async def test_a_listed_name_may_be_of_the_inside_but_without_https_only_of_this_machine() -> None:
    listed = ["mcp.local"]
    assert await checked("mcp.local", 443, is_plain=False, private_hosts=listed, resolve=names("10.0.0.7"))
    assert await checked("mcp.local", 80, is_plain=True, private_hosts=listed, resolve=names("127.0.0.1", "::1"))
    with pytest.raises(Refused):
        await checked("mcp.local", 80, is_plain=True, private_hosts=listed, resolve=names("10.0.0.7"))


async def test_a_spelling_that_only_the_system_understands_is_judged_by_what_it_stands_for() -> None:
    with pytest.raises(Refused):
        await checked("2130706433", 443, is_plain=False, private_hosts=())
