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
MEMORY_BYTES = 1024**3


def limit_self() -> None:
    """The system ends a process that exceeds these limits."""
    limits = ((resource.RLIMIT_CPU, CPU_SECONDS), (resource.RLIMIT_AS, MEMORY_BYTES), (resource.RLIMIT_CORE, 0))
    for what, limit in limits:
        with contextlib.suppress(ValueError, OSError):  # a system without this limit
            resource.setrlimit(what, (limit, limit))


def pages_of(file: io.BytesIO, max_chars: int) -> Iterator[str]:
    """The text of each page, until the total exceeds `max_chars`."""
    from pypdf import PdfReader  # imported here, so that the limits apply to it

    reader = PdfReader(file)
    if reader.is_encrypted and not reader.decrypt(""):
        sys.exit(ENCRYPTED)
    chars = 0
    for page in reader.pages:
        text = page.extract_text().strip()
        chars += len(text)
        if text:
            yield text
        if chars > max_chars:
            return


def main() -> None:
    limit_self()
    try:
        text = "\n\n".join(pages_of(io.BytesIO(sys.stdin.buffer.read()), int(sys.argv[1])))
    except Exception:  # noqa: BLE001  every failure of a damaged file gets the same answer
        sys.exit(UNREADABLE)
    sys.stdout.buffer.write(text.encode("utf-8", "replace"))


if __name__ == "__main__":
    main()
