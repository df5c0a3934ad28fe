"""A title is made of words, also where a message begins with code or a list."""

import pytest

from chatapp.conversations.first_words import MAX_TITLE_CHARACTERS, title_from


@pytest.mark.parametrize(
    ("text", "title"),
    [
        ("Why?\nBecause.", "Why?"),
        ("\n\n  Hello   there  ", "Hello there"),
        ("```python\nprint(1)\n```\nWhy does it fail?", "Why does it fail?"),
        ("```python\n\nprint(1)\n```", "print(1)"),
        ("~~~\n```\n~~~", "```"),
        ("## **Plan** for `today`", "Plan for today"),
        ("> - see [the page](https://example.org/a)", "see the page"),
        ("1. First\n2. Second", "First"),
        ("---\nAfter the rule", "After the rule"),
        ("???", "???"),
        ("2 * 3 * 4 and a_b_c", "2 * 3 * 4 and a_b_c"),
        ("```", ""),
        ("重要：**注意**", "重要：注意"),
    ],
)
def test_a_title_has_the_first_words(text: str, title: str) -> None:
    assert title_from(text) == title


def test_a_long_title_ends_with_a_word() -> None:
    title = title_from("word " * 100)

    assert title.endswith("word…")
    assert len(title) <= MAX_TITLE_CHARACTERS + 1
