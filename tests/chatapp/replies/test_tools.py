"""The chat's own tools, each alone: what they answer, what they refuse, and that nothing takes long."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatapp.conversations import document_search
from chatapp.conversations.document_search import MAX_PASSAGES, PASSAGE_CHARS, best, passages_of
from chatapp.replies.tools import calculator, clock
from chatapp.replies.tools.calculator import Refused, calculate

NOW = datetime(2026, 11, 29, 9, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("6 * 7", "42"),
        ("1 + 2 * 3 - 4 / 8", "6.5"),
        ("(1 + 2) * 3", "9"),
        ("2^3^2", "512"),
        ("2 ** 10", "1024"),
        ("-2^2", "-4"),
        ("2 * -3", "-6"),
        ("--3", "3"),
        ("7 % 3 + -7 % 3", "3"),
        ("7 // 2", "3"),
        ("-7 // 2", "-4"),
        ("0.1 + 0.2", "0.3"),
        ("1e3 × 2 ÷ 4 − 1", "499"),
        ("sqrt(16) + abs(-2) + max(1, 5, 3) + min(2, 1)", "12"),
        ("round(2.345, 2)", "2.34 (rounded)"),
        ("floor(2.7) + ceil(2.1)", "5"),
        ("1 / 4", "0.25"),
        ("0 * 5", "0"),
        ("2^100", "1267650600228229401496703205376"),
        ("1 / 3", "0.33333333333333333333333333333333333333333333333333 (rounded)"),
        ("round(pi, 5)", "3.14159 (rounded)"),
        ("ln(e) - 1 < 1", None),
    ],
)
def test_arithmetic_is_exact_or_says_that_it_is_rounded(expression: str, value: str | None) -> None:
    if value is None:
        with pytest.raises(Refused):
            calculate(expression)
    else:
        assert calculate(expression) == value


@pytest.mark.parametrize(
    "expression",
    [
        *(
            "",
            "  ",
            "1 +",
            "(1",
            "1)",
            "1 2",
            "* 2",
            "1,000",
            "sqrt()",
            "sqrt(1, 2)",
            "sqrt",
            "foo(1)",
            "round(1, 0.5)",
        ),
        *("1 / 0", "1 // 0", "1 % 0", "0 ^ -1", "sqrt(-1)", "ln(0)", "(-8) ^ 0.5", "9^9^9", "10^1001", "exp(9999)"),
        *("__import__('os')", "1 if 2 else 3", "a.b", "x = 1", "1;2", "'a' * 9", "[1]", "lambda: 1", "٣ + 1", "∞"),
        *("(" * 300 + "1" + ")" * 300, "1" * 501, "2^" * 200 + "1", "round(10^40, 40)"),
    ],
)
def test_whatever_has_no_value_is_refused_in_a_sentence(expression: str) -> None:
    with pytest.raises(Refused) as refused:
        calculate(expression)
    assert str(refused.value).endswith(".")


@given(st.text(alphabet="0123456789.+-*/%^(), episqrtlnax", max_size=60))
def test_any_text_is_computed_or_refused(expression: str) -> None:
    try:
        assert calculate(expression)
    except calculator.Refused as refused:
        assert str(refused)


def test_the_time_is_told_in_the_zone_that_is_asked_for() -> None:
    assert clock.told(NOW) == "Sunday, 2026-11-29, 09:30 in UTC (UTC+0000)"
    assert clock.told(NOW, "Asia/Tokyo") == "Sunday, 2026-11-29, 18:30 in Asia/Tokyo (UTC+0900)"


@pytest.mark.parametrize("name", ["Nowhere/City", "Europe", "../../etc/passwd", "/etc/localtime", "x" * 300, "a\0b"])
def test_an_unknown_zone_is_refused(name: str) -> None:
    with pytest.raises(clock.UnknownTimezone):
        clock.told(NOW, name)


def test_passages_with_the_rarer_word_come_first() -> None:
    common = [(f"Text {number}", f"The cache number {number} is warm.") for number in range(10)]
    documents = [*common, ("Fruit", "A banana in the cache.")]

    found = best(documents, "warm cache banana")

    assert (found[0].title, len(found)) == ("Fruit", MAX_PASSAGES)
    assert [passage.title for passage in found[1:]] == [f"Text {number}" for number in range(4)]


@pytest.mark.parametrize(
    ("query", "found"),
    [("CAFÉ", 1), ("cafe", 1), ("预热", 1), ("热预", 0), ("zebra", 0), ("", 0), ("?!", 0)],
)
def test_words_are_compared_folded_and_without_spaces_by_their_neighbours(query: str, found: int) -> None:
    assert len(best([("A", "Das Café hat offen."), ("B", "缓存预热很快")], query)) == found


@given(st.text(max_size=4000), st.integers(0, 3))
def test_a_text_is_cut_into_passages_without_losing_a_word(text: str, paragraphs: int) -> None:
    whole = "\n\n".join([text] * (paragraphs + 1))

    pieces = list(passages_of(whole))

    assert all(0 < len(piece) <= PASSAGE_CHARS for piece in pieces)
    assert "".join("".join(pieces).split()) == "".join(whole.split())


def test_a_search_reads_no_more_of_a_query_than_a_question_has() -> None:
    long = "word " * 10_000 + "banana"

    assert document_search.best([("A", "A banana.")], long) == []
