"""How the simulated provider counts text. The rule of thumb divides characters, as estimates do at first; the others
count as real tokenizers do, each in a way of its own, so that estimates have something to learn."""

import math
import re
from collections.abc import Callable

CountText = Callable[[str], int]

RULE_OF_THUMB = "characters"

_HAN = "\u2e80-\u9fff\uac00-\ud7ff\uf900-\ufaff\uff00-\uffef"
_PIECES = re.compile(rf" ?[^\W\d_{_HAN}]+|\d{{1,3}}|[{_HAN}]|\s+|.", re.DOTALL)
_DENSE_PIECES = re.compile(rf"[^\W\d_{_HAN}]+|\d|[{_HAN}]|[ \t]+|\n|.", re.DOTALL)
_PIECE_LETTERS = 6
_DENSE_LETTERS = 3
_BYTES_PER_TOKEN = 4


def _pieces(text: str) -> int:
    """A word with the space before it is a token for each six letters; three digits, a run of spaces, one sign."""
    return sum(_of_piece(piece.strip(), _PIECE_LETTERS) for piece in _PIECES.findall(text))


def _dense(text: str) -> int:
    """A word is a token for each three letters, and spaces, digits and signs are tokens of their own; a Chinese
    character takes two."""
    return sum(
        2 if "\u2e80" <= piece[0] <= "\uffef" else _of_piece(piece, _DENSE_LETTERS)
        for piece in _DENSE_PIECES.findall(text)
        if piece != " "
    )


def _of_piece(piece: str, letters: int) -> int:
    return max(1, math.ceil(len(piece) / letters)) if piece.isalpha() else 1


def _bytes(text: str) -> int:
    """One token for each four bytes of UTF-8."""
    return math.ceil(len(text.encode("utf-8", "surrogatepass")) / _BYTES_PER_TOKEN)


TOKENIZERS: dict[str, CountText] = {"pieces": _pieces, "dense": _dense, "bytes": _bytes}
"""By name; beside them the `RULE_OF_THUMB`, which differs by model."""


def counter(name: str, chars_per_token: float) -> CountText:
    """How the tokenizer of this name counts text, for a model with so many characters per token of English."""
    if name == RULE_OF_THUMB:
        return lambda text: math.ceil(len(text) / chars_per_token)
    return TOKENIZERS[name]
