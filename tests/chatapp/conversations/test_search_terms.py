"""The words that the search compares."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatapp.conversations.search_terms import MAX_TERM_BYTES, MAX_TERMS, fold, query_of, spans_in, terms_of


def marked(text: str, asked: str) -> list[str]:
    return [text[start:end] for start, end in spans_in(text, query_of(asked))]


@pytest.mark.parametrize(
    ("text", "asked", "found"),
    [
        ("The harbour is cold", "harb", ["harb"]),
        ("The harbour is cold", "COLD harbour", ["harbour", "cold"]),
        ("The harbour is cold", "warm harbour", []),
        ("un café crème", "CAFE creme", ["café", "crème"]),
        ("un cafe\u0301 noir", "café", ["cafe\u0301"]),
        ("Straße", "strasse", ["Straße"]),
        ("Ｆｕｌｌ width", "full", ["Ｆｕｌｌ"]),
        ("我喜欢北京烤鸭", "北京", ["北京"]),
        ("我喜欢北京烤鸭", "京", ["京"]),
        ("我喜欢北京烤鸭", "京北", []),
        ("東京タワーに行く", "タワー", ["タワー"]),
        ("use foo_bar(x) in C++", "bar", ["bar"]),
        ("안녕하세요 여러분", "하세", ["하세"]),
        ("नमस्ते दुनिया", "दुनिया", ["दुनिया"]),
        ("the 2024-11-28 log", "2024", ["2024"]),
        ("nothing", "!?", []),
    ],
)
def test_words_are_found_and_marked_as_people_write_them(text, asked, found):
    assert marked(text, asked) == found


def test_a_letter_alone_does_not_hold_up_a_search_that_is_still_being_typed():
    assert marked("warm cache", "warm c") == ["warm"]


@given(st.text(max_size=80), st.data())
def test_the_index_knows_every_word_that_is_marked(text, data):
    words = [word for word in text.split() if query_of(word).words]
    asked = data.draw(st.sampled_from(words)) if words else "none"
    if not spans_in(text, query_of(asked)):
        return
    indexed = terms_of(text)

    assert all(any(known.startswith(term) for known in indexed) for term in query_of(asked).terms)


@given(st.text(max_size=200))
def test_every_span_lies_in_the_text_in_order(text):
    spans = spans_in(text, query_of(text[:20]))

    assert all(0 <= start < end <= len(text) for start, end in spans)
    assert spans == sorted(spans)


@given(st.text())
def test_terms_hold_nothing_that_a_query_language_reads(text):
    assert not any(set(term) & set("\"'\\ \0:*&|!()<>") for term in terms_of(text))


def test_a_text_of_any_size_has_a_bounded_number_of_terms():
    terms = terms_of(" ".join(f"word{number}" for number in range(3 * MAX_TERMS)))

    assert len(terms) <= MAX_TERMS
    assert sum(len(term.encode()) for term in terms) <= MAX_TERM_BYTES


@given(st.text())
def test_folding_again_changes_nothing(text):
    assert fold(fold(text)) == fold(text)
