"""Bodies of streamed answers, over a real connection and over responses of other transports."""

import asyncio
import gzip
from collections.abc import AsyncIterator, Iterator

import httpx2
import pytest
from anthropic import AsyncAnthropic, DefaultAioHttpClient

from warmcache.upstream.api_errors import TRANSPORT_ERRORS
from warmcache.upstream.bodies import Body, DirectBody, IteratedBody, body_of


class Upstream:
    """Answers each request with a head; the test writes the chunks of the body."""

    def __init__(self) -> None:
        self.url = ""
        self.writers: list[asyncio.StreamWriter] = []

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        self.writers.append(writer)
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n")

    async def say(self, *chunks: bytes) -> None:
        for chunk in chunks:
            self.writers[-1].write(b"%x\r\n%b\r\n" % (len(chunk), chunk))
            await self.writers[-1].drain()


@pytest.fixture
async def upstream() -> AsyncIterator[Upstream]:
    upstream = Upstream()
    server = await asyncio.start_server(upstream.answer, "127.0.0.1", 0)
    upstream.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield upstream
    finally:
        for writer in upstream.writers:
            writer.close()
        server.close()


@pytest.fixture
async def response(upstream: Upstream) -> AsyncIterator[httpx2.Response]:
    """A streamed one, as the SDK makes it."""
    async with AsyncAnthropic(api_key="k", base_url=upstream.url, http_client=DefaultAioHttpClient()) as sdk:
        response = await sdk.get("/v1/some", cast_to=httpx2.Response, stream=True, stream_cls=None)
        try:
            yield response
        finally:
            await response.aclose()


async def all_of(body: Body, *, at_least: int) -> bytes:
    found = b""
    while len(found) < at_least:
        found += await body.read()
    return found


class Chunks(httpx2.AsyncByteStream):
    def __init__(self, *chunks: bytes) -> None:
        self._chunks = chunks

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for chunk in self._chunks:
            yield chunk


async def test_the_sdk_s_own_responses_are_read_directly(upstream, response):
    """If this fails after an upgrade, the SDK wraps them in another way: everything works, and costs more."""
    assert isinstance(body_of(response), DirectBody)


async def test_a_direct_body_is_read_to_its_end(upstream, response):
    body = body_of(response)
    await upstream.say(b"one", b"two")

    found = await all_of(body, at_least=6)
    await upstream.say(b"")

    assert found == b"onetwo"
    assert await body.read() == b""


async def test_what_comes_in_a_rest_is_left_with_the_system_and_read_after_it(upstream, response):
    body = body_of(response)
    await upstream.say(b"one")
    await all_of(body, at_least=3)
    content = response.stream._stream._aiohttp_response.content

    resting = asyncio.create_task(body.rest(3600))
    await asyncio.sleep(0)
    await upstream.say(b"two", b"three")
    for _ in range(5):  # rounds of the loop: in each of them it would be read
        await asyncio.sleep(0)
    taken = content.total_bytes
    resting.cancel()
    await asyncio.wait({resting})

    assert taken == 3
    assert await all_of(body, at_least=8) == b"twothree"


async def test_a_rest_after_the_end_does_not_stop_the_connection_s_next_user(upstream, response):
    body = body_of(response)
    await upstream.say(b"one", b"")
    assert await all_of(body, at_least=3) == b"one"
    assert await body.read() == b""

    await body.rest(0)

    assert response.stream._stream._aiohttp_response.connection is None


async def test_a_broken_connection_is_an_error_and_not_an_end(upstream, response):
    body = body_of(response)
    await upstream.say(b"one")
    await all_of(body, at_least=3)

    upstream.writers[-1].transport.abort()

    with pytest.raises(TRANSPORT_ERRORS):
        await body.read()


@pytest.fixture(params=["identity", "gzip"])
def other(request: pytest.FixtureRequest) -> Iterator[httpx2.Response]:
    """A response of another transport, packed or not."""
    plain = (b"one", b"", b"two")
    chunks = plain if request.param == "identity" else (gzip.compress(b"onetwo"),)
    sent = httpx2.Request("POST", "http://fake/v1/messages")
    return httpx2.Response(200, headers={"content-encoding": request.param}, request=sent, stream=Chunks(*chunks))


async def test_other_responses_are_iterated_and_an_empty_chunk_is_not_their_end(other):
    body = body_of(other)
    assert isinstance(body, IteratedBody)

    assert await all_of(body, at_least=6) == b"onetwo"
    assert await body.read() == b""
    await body.rest(0)
    await body.aclose()
