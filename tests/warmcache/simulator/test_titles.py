"""The simulator's answer to a request for a title."""

import pytest

from warmcache.simulator.titles import asks_for_title, title_of

SYSTEM = [{"type": "text", "text": "You write the title of a conversation."}]


@pytest.mark.parametrize(
    ("text", "title"),
    [
        ("<question>Where is the old lighthouse?</question>\n<answer>At the pier.</answer>", "Old lighthouse"),
        ("How do I bake bread with rye and a little salt?", "Bake bread rye little salt"),
        ("<question>what is it?</question>", "What is it"),
        ("<question>東京の電車</question>", "東京の電車"),
        ("<question>?!</question>", "Untitled"),
    ],
)
def test_a_title_is_made_of_the_question_s_own_words(text, title):
    assert title_of(text) == title


@pytest.mark.parametrize(
    ("body", "asks"),
    [
        ({"max_tokens": 40, "system": SYSTEM}, True),
        ({"max_tokens": 40, "system": "Write a title."}, True),
        ({"max_tokens": 4096, "system": SYSTEM}, False),
        ({"max_tokens": 40, "system": "Entitled people"}, False),
        ({"max_tokens": 40}, False),
    ],
)
def test_only_a_short_answer_under_such_instructions_is_a_title(body, asks):
    assert asks_for_title(body) is asks
