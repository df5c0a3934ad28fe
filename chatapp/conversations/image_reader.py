"""Makes a picture as small as the model reads it, as a program of its own: `python -I image_reader.py < picture`.

A malicious file can use no more than the limits of this process. The program does not use Django.
It exits with 0 and prints a line `MEDIA_TYPE WIDTH HEIGHT` and the bytes of the new picture, or exits with one of the
codes below and prints nothing. The new picture stands upright and holds pixels only: no place, no camera, no comment.
"""

import contextlib
import io
import math
import resource
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL import Image

TOO_MANY_PIXELS = 3
UNREADABLE = 4

FORMATS = ("PNG", "JPEG", "WEBP", "GIF")
MAX_PIXELS = 50_000_000
"""As many as the large cameras of phones have. A small file can claim more than fits into memory."""

LONG_EDGE = 1568
READ_PIXELS = 1_200_000
"""The provider makes a larger picture smaller before the model sees it: more would only be slower to send."""

LOSSLESS_BYTES = 512 * 1024
"""A drawing or a screenshot stays exact up to this size; a larger one is taken for a photograph."""

JPEG_QUALITY = 88

ORIENTATION = 0x0112
TURNS = {
    2: "FLIP_LEFT_RIGHT",
    3: "ROTATE_180",
    4: "FLIP_TOP_BOTTOM",
    5: "TRANSPOSE",
    6: "ROTATE_270",
    7: "TRANSVERSE",
    8: "ROTATE_90",
}
"""What makes a picture upright, by the number that a camera writes."""

CPU_SECONDS = 20
MEMORY_BYTES = 768 * 1024**2
OUTPUT_BYTES = 4 * 1024**2


def limit_self() -> None:
    """The system ends a process that exceeds these limits."""
    limits = (
        (resource.RLIMIT_CPU, CPU_SECONDS),
        (resource.RLIMIT_AS, MEMORY_BYTES),
        (resource.RLIMIT_FSIZE, OUTPUT_BYTES),
        (resource.RLIMIT_CORE, 0),
    )
    for what, limit in limits:
        with contextlib.suppress(ValueError, OSError):  # a system without this limit
            resource.setrlimit(what, (limit, limit))


def read_size(width: int, height: int) -> tuple[int, int]:
    """The size at which the model reads a picture; never larger than it is."""
    scale = min(1.0, LONG_EDGE / max(width, height), math.sqrt(READ_PIXELS / (width * height)))
    return max(1, int(width * scale)), max(1, int(height * scale))


def pixels_of(given: bytes) -> "tuple[Image.Image, bool]":
    """The first frame, upright and small, and whether it was compressed as a photograph."""
    from PIL import Image  # imported here, so that the limits apply to it

    Image.MAX_IMAGE_PIXELS = None  # our own bound, which is told as such
    with Image.open(io.BytesIO(given), formats=FORMATS) as image:
        if image.width * image.height > MAX_PIXELS:
            sys.exit(TOO_MANY_PIXELS)
        is_photograph = image.format in ("JPEG", "WEBP")
        turn = TURNS.get(image.getexif().get(ORIENTATION, 1))
        small = read_size(image.width, image.height)
        image.draft("RGB", (2 * small[0], 2 * small[1]))  # a JPEG is decoded at a fraction of its size
        has_alpha = image.has_transparency_data
        pixels = image.convert("RGBA" if has_alpha else "RGB")
    if pixels.size != small:
        pixels = pixels.resize(small, Image.Resampling.LANCZOS, reducing_gap=3.0)
    if turn is not None:
        pixels = pixels.transpose(Image.Transpose[turn])
    # What the file said of itself would be written again.
    pixels.info.clear()
    return pixels, is_photograph


def encoded(pixels: "Image.Image", *, is_photograph: bool) -> tuple[str, bytes]:
    """The media type and the bytes. The same pixels give the same bytes, so that a cached prompt stays the same."""
    if not is_photograph or pixels.mode == "RGBA":
        out = io.BytesIO()
        pixels.save(out, "PNG", optimize=True)
        if out.tell() <= LOSSLESS_BYTES:
            return "image/png", out.getvalue()
    out = io.BytesIO()
    on_white(pixels).save(out, "JPEG", quality=JPEG_QUALITY, exif=b"")
    return "image/jpeg", out.getvalue()


def on_white(pixels: "Image.Image") -> "Image.Image":
    from PIL import Image

    if pixels.mode != "RGBA":
        return pixels
    paper = Image.new("RGB", pixels.size, "white")
    paper.paste(pixels, mask=pixels.getchannel("A"))
    return paper


def main() -> None:
    limit_self()
    try:
        pixels, is_photograph = pixels_of(sys.stdin.buffer.read())
        media_type, data = encoded(pixels, is_photograph=is_photograph)
    except Exception:  # noqa: BLE001  every failure of a damaged file gets the same answer
        sys.exit(UNREADABLE)
    sys.stdout.buffer.write(f"{media_type} {pixels.width} {pixels.height}\n".encode() + data)


if __name__ == "__main__":
    main()
