"""Extracts the text of a PDF, as a program of its own: `python -I pdf_text.py MAX_CHARS < file.pdf`.

A malicious file can use no more than the limits of this process. The program does not use Django.
It exits with 0 and prints the pages' text as UTF-8, or exits with one of the codes below and prints nothing.
"""

import contextlib
import io
import resource
import sys
from collections.abc import Iterator

ENCRYPTED = 3
UNREADABLE = 4

CPU_SECONDS = 20
MEMORY_BYTES = 512 * 1024**2
BYTES_OF_CHARACTER = 4


def output_bytes(max_chars: int) -> int:
    """The most that it prints: the first character too many tells that the text is too long."""
    return BYTES_OF_CHARACTER * (max_chars + 1)


def limit_self(max_chars: int) -> None:
    """The system ends a process that exceeds these limits."""
    limits = (
        (resource.RLIMIT_CPU, CPU_SECONDS),
        (resource.RLIMIT_AS, MEMORY_BYTES),
        (resource.RLIMIT_FSIZE, output_bytes(max_chars)),
        (resource.RLIMIT_CORE, 0),
    )
    for what, limit in limits:
        with contextlib.suppress(ValueError, OSError):  # a system without this limit
            resource.setrlimit(what, (limit, limit))


def pages_of(file: io.BytesIO, max_chars: int) -> Iterator[str]:
    """The text of each page, until the total exceeds `max_chars`; a page may hold any number, so it is cut there."""
    from pypdf import PdfReader  # imported here, so that the limits apply to it

    reader = PdfReader(file)
    if reader.is_encrypted and not reader.decrypt(""):
        sys.exit(ENCRYPTED)
    chars = 0
    for page in reader.pages:
        text = page.extract_text().strip()[: max_chars + 1]
        chars += len(text)
        if text:
            yield text
        if chars > max_chars:
            return


def main() -> None:
    max_chars = int(sys.argv[1])
    limit_self(max_chars)
    try:
        text = "\n\n".join(pages_of(io.BytesIO(sys.stdin.buffer.read()), max_chars))
    except Exception:  # noqa: BLE001  every failure of a damaged file gets the same answer
        sys.exit(UNREADABLE)
    sys.stdout.buffer.write(text[: max_chars + 1].encode("utf-8", "replace"))


if __name__ == "__main__":
    main()
