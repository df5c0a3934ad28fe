from typing import Any

import pytest

from warmcache.core.catalog import facts_for
from warmcache.simulator.passages import Document, Passage, PassageIndex, documents_of, passages_of
from warmcache.simulator.quotes import cited_texts
from warmcache.simulator.replies import Reply, ReplyWriter, cap, stop_at, text_block
from warmcache.simulator.structured import example_of

FACTS = facts_for("claude-sonnet-5-5")
GARDEN = (
    "Tomatoes need six hours of sun and a stake. Water them at the root in the morning.\n\n"
    "Slugs avoid copper. A ring of copper tape around the bed keeps slugs away for years.\n\n"
    "Compost is ready when it smells of forest soil. Turn the heap every second week."
)
PYTHON = (
    'The "with" statement\n********************\n\n'
    'The "with" statement is used to wrap the execution of a block with methods\n'
    "defined by a context manager:\n\n"
    "   with open(path) as file:\n       read(file)\n\n"
    "Lists may be constructed with square brackets, separating items with commas."
)


def body(question: str, *documents: tuple[str, str], **fields: Any) -> dict[str, Any]:
    blocks = [{"type": "text", "text": f'<document title="{title}">\n{text}\n</document>'} for title, text in documents]
    return {
        "model": FACTS.model,
        "system": [{"type": "text", "text": "Answer from the documents."}, *blocks],
        "messages": [{"role": "user", "content": question}],
        **fields,
    }


def answer(request: dict[str, Any], seed: int = 1) -> str:
    reply = ReplyWriter(seed=seed).compose(request, FACTS, input_tokens=99, bound_to="x", tool_use_id="toolu_1")
    return reply.blocks[-1].text


def test_a_reply_says_that_it_is_simulated_and_quotes_the_matching_passage_word_for_word():
    reply = answer(body("How do I keep slugs away?", ("Garden", GARDEN), ("Python", PYTHON)))

    assert "simulated reply" in reply
    assert "word for word" in reply
    assert "**Garden**" in reply
    assert "> Slugs avoid copper. A ring of copper tape around the bed keeps slugs away for years." in reply
    assert "Compost" not in reply


def test_code_that_follows_a_passage_comes_as_a_code_block():
    reply = answer(body("What does the with statement do?", ("Garden", GARDEN), ("Python", PYTHON)))

    assert '**Python: The "with" statement**' in reply
    assert "```python\nwith open(path) as file:\n    read(file)\n```" in reply


def test_where_nothing_matches_the_reply_says_so_and_quotes_nothing():
    reply = answer(body("What is the weather in Paris?", ("Garden", GARDEN)))

    assert "simulated reply" in reply
    assert "nothing to quote" in reply
    assert ">" not in reply


def test_without_documents_the_reply_is_brief_and_honest():
    reply = answer(body("Hello there"))

    assert "simulated reply" in reply
    assert "no documents" in reply
    assert "99 tokens" in reply


def test_instructions_are_not_taken_for_a_document():
    request = body("Answer from the documents?")

    assert documents_of(request) == []


@pytest.mark.parametrize(
    ("block", "title"),
    [
        ('<document title="Garden">\nSlugs\n</document>', "Garden"),
        ("<document>\n<title>Garden</title>\n<document_content>Slugs</document_content>\n</document>", "Garden"),
        ("# Garden\n\nSlugs", "Garden"),
        ("Document: Garden\nSlugs", "Garden"),
        ("Slugs " * 400, "Untitled document"),
    ],
)
def test_documents_are_found_in_the_usual_wrappings(block: str, title: str):
    (document,) = documents_of({"system": [{"type": "text", "text": block}], "messages": []})

    assert document.title == title
    assert document.text.strip().startswith("Slugs")
    assert "<" not in document.text


def test_attached_documents_are_searched_too():
    attached = {
        "type": "document",
        "title": "notes.txt",
        "source": {"type": "text", "media_type": "text/plain", "data": GARDEN},
    }
    messages = [{"role": "user", "content": [attached, {"type": "text", "text": "When is compost ready?"}]}]

    reply = answer({"model": FACTS.model, "messages": messages})

    assert "**notes.txt**" in reply
    assert "> Compost is ready when it smells of forest soil." in reply


def test_the_same_seed_gives_the_same_reply_and_seeds_differ():
    request = body("How do I keep slugs away?", ("Garden", GARDEN))

    assert answer(request, seed=1) == answer(request, seed=1)
    assert len({answer(request, seed=seed) for seed in range(8)}) > 1


def test_marks_that_markdown_would_read_are_shown_and_emphasis_stays():
    passage = Passage(title="calls", text='* the *iterable* has "__iter__()", see f(*args)')

    [(text, _)] = cited_texts("Here:", [passage], [])

    assert text == 'Here:\n\n**calls**\n\n> * the *iterable* has "\\_\\_iter\\_\\_()", see f(\\*args)'


def test_long_paragraphs_are_cut_between_sentences_and_lose_no_words():
    text = " ".join(f"This is sentence number {number} of a long paragraph." for number in range(60))

    parts = [passage.text for passage in passages_of(Document(title="t", text=text))]

    assert len(parts) > 3
    assert all(len(part) <= 800 and part.endswith(".") for part in parts)
    assert " ".join(parts) == text


def test_ties_are_broken_by_position():
    index = PassageIndex([Document(title=name, text="Copper keeps every slug away, " + name) for name in "ab"])

    assert [passage.title for passage in index.best("copper slug", 2)] == ["a", "b"]


def test_a_structured_request_gets_json_that_fits_its_schema():
    schema = {
        "type": "object",
        "properties": {
            "title": {"type": "string", "maxLength": 12},
            "tags": {"type": "array", "items": {"$ref": "#/$defs/tag"}},
            "kind": {"enum": ["chat", "code"]},
            "score": {"type": "integer", "minimum": 3},
            "sure": {"type": ["boolean", "null"]},
            "note": {"anyOf": [{"type": "null"}, {"type": "string"}]},
        },
        "$defs": {"tag": {"const": "fixed"}},
    }

    assert example_of(schema, "How do I keep slugs away?") == {
        "title": "How do I kee",
        "tags": ["fixed"],
        "kind": "chat",
        "score": 3,
        "sure": True,
        "note": None,
    }


def test_a_schema_that_refers_to_itself_ends():
    schema = {
        "type": "object",
        "properties": {"child": {"$ref": "#"}},
    }

    assert "child" in example_of(schema, "q")


LOOK_UP = {
    "name": "look_up",
    "input_schema": {"type": "object", "properties": {"word": {"type": "string"}, "pages": {"type": "integer"}}},
}
FORCED = facts_for("claude-haiku-5-5")


@pytest.mark.parametrize("choice", [{"type": "any"}, {"type": "tool", "name": "look_up"}])
def test_a_forced_tool_is_called_with_an_input_that_fits_its_schema_and_nothing_else_is_said(choice: dict[str, str]):
    request = body("Slugs", tools=[LOOK_UP, {**LOOK_UP, "name": "other"}], tool_choice=choice)

    reply = ReplyWriter().compose(request, FORCED, input_tokens=1, bound_to="x", tool_use_id="toolu_7")

    assert reply.stop_reason == "tool_use"
    assert [block.content() for block in reply.blocks] == [
        {"type": "tool_use", "id": "toolu_7", "name": "look_up", "input": {"word": "Slugs", "pages": 1}}
    ]


def test_tools_that_are_not_forced_are_not_called():
    request = body("Slugs", tools=[LOOK_UP], tool_choice={"type": "auto"})

    reply = ReplyWriter().compose(request, FORCED, input_tokens=1, bound_to="x", tool_use_id="toolu_7")

    assert reply.stop_reason == "end_turn"
    assert all(block.kind != "tool_use" for block in reply.blocks)


def attached(source: dict[str, Any], *, enabled: bool = True) -> dict[str, Any]:
    document = {"type": "document", "source": source, "title": "Garden", "citations": {"enabled": enabled}}
    picture = {"type": "document", "source": {"type": "url", "url": "https://example.com/a.pdf"}}
    asked = {"type": "text", "text": "How do I keep slugs away?"}
    return {**body(""), "messages": [{"role": "user", "content": [picture, document, asked]}]}


def texts_of(request: dict[str, Any]) -> list[dict[str, Any]]:
    reply = ReplyWriter().compose(request, FACTS, input_tokens=1, bound_to="x", tool_use_id="toolu_1")
    return [block.content() for block in reply.blocks]


def test_a_quote_of_a_document_with_citations_is_a_text_of_its_own_and_cites_its_characters():
    opening, quoted = texts_of(attached({"type": "text", "media_type": "text/plain", "data": GARDEN}))

    [citation] = quoted["citations"]
    assert "citations" not in opening
    assert opening["text"].endswith("**Garden**\n\n")
    assert quoted["text"].startswith("> Slugs avoid copper.")
    assert GARDEN[citation["start_char_index"] : citation["end_char_index"]] == citation["cited_text"]
    assert (citation["type"], citation["document_index"], citation["document_title"]) == ("char_location", 1, "Garden")


def test_a_quote_of_a_document_in_blocks_cites_the_block():
    parts = [{"type": "text", "text": text} for text in GARDEN.split("\n\n")]

    *_, quoted = texts_of(attached({"type": "content", "content": parts}))

    [citation] = quoted["citations"]
    assert citation["type"] == "content_block_location"
    assert (citation["start_block_index"], citation["end_block_index"]) == (1, 2)
    assert citation["cited_text"] == parts[1]["text"]


def test_without_citations_a_reply_is_one_text_that_names_none():
    [whole] = texts_of(attached({"type": "text", "media_type": "text/plain", "data": GARDEN}, enabled=False))

    assert set(whole) == {"type", "text"}


@pytest.mark.parametrize(
    ("model", "thinking", "kinds", "shown"),
    [
        ("claude-opus-5-5", {"type": "adaptive", "display": "summarized"}, ["thinking", "text"], True),
        ("claude-opus-5-5", None, ["thinking", "text"], False),
        ("claude-sonnet-5-5", None, ["text"], False),
        ("claude-sonnet-5-5", {"type": "between_tools"}, ["text"], False),
        ("claude-haiku-4-5", {"type": "enabled", "budget_tokens": 2000}, ["thinking", "text"], True),
        ("claude-haiku-4-5", None, ["text"], False),
    ],
)
def test_thinking_comes_first_where_the_model_thinks(
    model: str, thinking: dict[str, Any] | None, kinds: list[str], shown: bool
):
    request = body("How do I keep slugs away?", ("Garden", GARDEN), thinking=thinking)

    reply = ReplyWriter().compose(request, facts_for(model), input_tokens=1, bound_to="x", tool_use_id="toolu_1")

    assert [block.kind for block in reply.blocks] == kinds
    assert bool(reply.blocks[0].kind == "thinking" and reply.blocks[0].text) is shown
    if kinds[0] == "thinking":
        assert reply.blocks[0].content()["signature"]
        assert reply.thinking_tokens > 0


def test_a_reply_is_cut_at_max_tokens():
    reply = cap(Reply(blocks=(text_block("x" * 1000, FACTS),)), FACTS, max_tokens=10, room_tokens=10**6)

    assert reply.output_tokens == 10
    assert len(reply.blocks[0].text) == 25
    assert reply.stop_reason == "max_tokens"


def test_a_reply_that_outgrows_the_context_window_says_so():
    reply = cap(Reply(blocks=(text_block("x" * 1000, FACTS),)), FACTS, max_tokens=1000, room_tokens=10)

    assert reply.stop_reason == "model_context_window_exceeded"


def test_the_earliest_stop_sequence_ends_the_reply():
    reply = stop_at(Reply(blocks=(text_block("one two three", FACTS),)), ["three", "two"], FACTS)

    assert reply.blocks[0].text == "one "
    assert (reply.stop_reason, reply.stop_sequence) == ("stop_sequence", "two")
