"""The tokens of a picture come from its pixels, in the estimate and in the simulator alike."""

import base64

import pytest

from tests.pictures import picture_file
from warmcache.core.estimates import block_size, known_tokens
from warmcache.core.pictures import USUAL_TOKENS
from warmcache.simulator.tokens import block_tokens


def block(data: bytes, media_type: str = "image/png") -> dict[str, object]:
    source = {"type": "base64", "media_type": media_type, "data": base64.b64encode(data).decode()}
    return {"type": "image", "source": source}


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
@pytest.mark.parametrize(("size", "tokens"), [((750, 2), 2), ((1000, 750), 1000), ((3000, 2000), 1600)])
def test_a_picture_costs_by_its_pixels_and_never_more_than_the_largest(kind, size, tokens):
    picture = block(picture_file(kind, size))

    assert block_tokens(picture, len) == tokens
    assert block_size(picture) == known_tokens(tokens)


@pytest.mark.parametrize(
    "data", [b"GIF89a", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", picture_file("JPEG")[:20], b"\xff\xd8" * 9]
)
def test_one_whose_pixels_are_not_told_is_of_ordinary_size(data):
    assert block_tokens(block(data), len) == USUAL_TOKENS
    assert (
        block_tokens({"type": "image", "source": {"type": "url", "url": "https://example.org/"}}, len) == USUAL_TOKENS
    )
