"""Arithmetic on decimals: a parser of its own, and bounded in everything. Nothing of an expression is ever evaluated as
code. Numbers have 50 digits, so that no operation takes long, and what is larger than 10^1000 is refused.
"""

import decimal
import re
from collections.abc import Callable, Mapping
from decimal import Decimal

MAX_CHARS = 500
MAX_DEPTH = 40
DIGITS = 50
MAX_EXPONENT = 1000

_TOKEN = re.compile(
    r"\s*(?:([0-9]+(?:\.[0-9]*)?(?:[eE][+-]?[0-9]{1,4})?|\.[0-9]+)|([A-Za-z][A-Za-z0-9]*)|(\*\*|//|[-+*/%^(),]))"
)
_SPELLINGS = str.maketrans({"×": "*", "·": "*", "÷": "/", "−": "-", "–": "-"})
_TRAPS = [decimal.InvalidOperation, decimal.DivisionByZero, decimal.Overflow]
_PI = Decimal("3.14159265358979323846264338327950288419716939937510582097494459")


class Refused(ValueError):
    """Why an expression has no value, in a sentence for the model."""


def calculate(expression: str) -> str:
    """The value, and whether it is rounded. Raises `Refused`."""
    if len(expression) > MAX_CHARS:
        raise Refused(f"An expression may have at most {MAX_CHARS} characters.")
    context = decimal.Context(prec=DIGITS, Emax=MAX_EXPONENT, Emin=-MAX_EXPONENT, traps=_TRAPS)
    with decimal.localcontext(context) as running:
        try:
            value = _Parser(expression.translate(_SPELLINGS)).value()
            is_rounded = bool(running.flags[decimal.Inexact])
            return f"{_written(value)}{' (rounded)' if is_rounded else ''}"
        except decimal.DivisionByZero as error:
            raise Refused("It divides by zero.") from error
        except decimal.Overflow as error:
            raise Refused(f"A number in it is larger than 10^{MAX_EXPONENT}.") from error
        except decimal.InvalidOperation as error:
            raise Refused("It has no value among the real numbers, or one of too many digits.") from error


def _written(value: Decimal) -> str:
    if value == 0:
        return "0"
    plain = value.normalize()
    return format(plain, "f") if -DIGITS <= plain.adjusted() <= DIGITS else str(plain)


def _finite(value: Decimal) -> Decimal:
    """Some operations give an infinity without a word, such as 0^-1."""
    if not value.is_finite():
        raise Refused("It has no value among the real numbers.")
    return value


def _whole(rounding: str) -> Callable[..., Decimal]:
    return lambda value: value.to_integral_value(rounding=rounding)


def _round(value: Decimal, places: Decimal = Decimal(0)) -> Decimal:
    if places != int(places) or not 0 <= places <= DIGITS:
        raise Refused(f"round takes from 0 to {DIGITS} places.")
    return value.quantize(Decimal(1).scaleb(-int(places)), rounding=decimal.ROUND_HALF_EVEN)


_FUNCTIONS: Mapping[str, tuple[Callable[..., Decimal], int, int]] = {
    "sqrt": (Decimal.sqrt, 1, 1),
    "abs": (abs, 1, 1),
    "round": (_round, 1, 2),
    "floor": (_whole(decimal.ROUND_FLOOR), 1, 1),
    "ceil": (_whole(decimal.ROUND_CEILING), 1, 1),
    "min": (min, 1, MAX_CHARS),
    "max": (max, 1, MAX_CHARS),
    "exp": (Decimal.exp, 1, 1),
    "ln": (Decimal.ln, 1, 1),
    "log10": (Decimal.log10, 1, 1),
}
"""By name: what computes it, and how many arguments it takes at least and at most."""


class _Parser:
    """Of the grammar: sum = term (+|- term)*, term = sign (*|/|//|% sign)*, sign = -sign | power,
    power = atom (^ sign)?, atom = number | constant | function(sum, ...) | (sum)."""

    def __init__(self, expression: str) -> None:
        self._tokens = _tokens_of(expression)
        self._place = 0
        self._depth = 0

    def value(self) -> Decimal:
        if not self._tokens:
            raise Refused("There is nothing to compute.")
        value = self._sum()
        if self._next:
            raise Refused(f"I do not understand {self._next!r} there.")
        return value

    @property
    def _next(self) -> str:
        return self._tokens[self._place] if self._place < len(self._tokens) else ""

    def _take(self, *wanted: str) -> str:
        """The next token if it is one of these; else an empty text."""
        found = self._next
        if not found or found not in wanted:
            return ""
        self._place += 1
        return found

    def _expect(self, wanted: str) -> None:
        if not self._take(wanted):
            raise Refused(f"{wanted!r} is missing {f'before {self._next!r}' if self._next else 'at the end'}.")

    def _sum(self) -> Decimal:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise Refused(f"It is nested more than {MAX_DEPTH} levels deep.")
        value = self._term()
        while sign := self._take("+", "-"):
            other = self._term()
            value = value + other if sign == "+" else value - other
        self._depth -= 1
        return value

    def _term(self) -> Decimal:
        value = self._sign()
        while sign := self._take("*", "/", "//", "%"):
            value = _combined(sign, value, self._sign())
        return value

    def _sign(self) -> Decimal:
        is_negative = False
        while sign := self._take("+", "-"):
            is_negative ^= sign == "-"
        value = self._power()
        return -value if is_negative else value

    def _power(self) -> Decimal:
        """Binds to the right: 2^3^2 is 2^9."""
        base = self._atom()
        if not self._take("^", "**"):
            return base
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise Refused(f"It is nested more than {MAX_DEPTH} levels deep.")
        exponent = self._sign()
        self._depth -= 1
        return _finite(base**exponent)

    def _atom(self) -> Decimal:
        if self._take("("):
            value = self._sum()
            self._expect(")")
            return value
        token = self._next
        if not token or not token[0].isalnum() and token[0] != ".":
            raise Refused(f"A number is missing {f'before {token!r}' if token else 'at the end'}.")
        self._place += 1
        return self._named(token.lower()) if token[0].isalpha() else +Decimal(token)

    def _named(self, name: str) -> Decimal:
        if name == "pi":
            return +_PI
        if name == "e":
            return Decimal(1).exp()
        if name not in _FUNCTIONS:
            raise Refused(f"I do not know {name[:40]!r}.")
        function, least, most = _FUNCTIONS[name]
        self._expect("(")
        arguments = [self._sum()]
        while self._take(","):
            arguments.append(self._sum())
        self._expect(")")
        if not least <= len(arguments) <= most:
            raise Refused(f"{name} takes {least if least == most else f'{least} or more'} argument(s).")
        return _finite(function(*arguments))


def _combined(sign: str, left: Decimal, right: Decimal) -> Decimal:
    match sign:
        case "*":
            return left * right
        case "/":
            return left / right
        case "//":
            return (left / right).to_integral_value(rounding=decimal.ROUND_FLOOR)
        case _:
            if right == 0:
                raise Refused("It divides by zero.")
            remainder = left % right
            return remainder + right if remainder and (remainder < 0) != (right < 0) else remainder


def _tokens_of(expression: str) -> list[str]:
    tokens: list[str] = []
    place, text = 0, expression.rstrip()
    while place < len(text):
        found = _TOKEN.match(text, place)
        if found is None:
            raise Refused(f"I do not understand {text[place : place + 10].strip()!r}.")
        tokens.append(found[0].strip())
        place = found.end()
    return tokens
