"""A whole answer at once, and its text alone."""

import pytest

from warmcache import services
from warmcache.core.errors import UpstreamUnavailable
from warmcache.testing import FakeRuntime, make_prompt

PERSON = {"user_id": "7"}


async def test_the_whole_answer_and_how_it_ended(fake: FakeRuntime) -> None:
    answer = await services.respond(
        make_prompt(),
        "And now?",
        max_tokens=10,
        label="view",
        stop_sequences=["."],
        metadata={"user_id": "7"},
        timeout=9,
    )

    assert answer.text == "Hello there."
    assert answer.blocks == [{"type": "text", "text": "Hello there."}]
    assert (answer.result.status, answer.result.stop_reason) == ("complete", "end_turn")
    [sent] = fake.provider.sent
    assert sent.request.members == {"stop_sequences": ["."], "metadata": PERSON}
    assert sent.request.timeout_seconds == 9


async def test_an_answer_that_fails_is_its_error(fake: FakeRuntime) -> None:
    fake.provider.fail(UpstreamUnavailable("overloaded", "broken"), times=9, kind="reply")

    with pytest.raises(UpstreamUnavailable, match="broken"):
        await services.respond(make_prompt(), "And now?", max_tokens=10)


async def test_the_text_alone_as_it_arrives(fake: FakeRuntime) -> None:
    async with services.stream_response(make_prompt(), "And now?", max_tokens=10) as response:
        texts = [text async for text in response.texts()]

    assert "".join(texts) == "Hello there."
    assert len(texts) > 1
