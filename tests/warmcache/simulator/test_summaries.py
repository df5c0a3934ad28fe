"""A simulated summary quotes how a person's messages began, so that a demo without a key is worth reading."""

from warmcache.simulator.summaries import ASKS, MAX_LISTED, MAX_WORDS, OPENING, asks_for_summary, summary_of


def said(*texts: str) -> dict:
    messages = []
    for text in texts:
        messages += [{"role": "user", "content": text}, {"role": "assistant", "content": "Yes."}]
    return {"messages": [*messages, {"role": "user", "content": f"{ASKS} so far."}]}


def test_it_lists_the_messages_without_the_one_that_asks():
    body = said("Plan a garden", "word " * (MAX_WORDS + 1))

    assert asks_for_summary(body["messages"][-1]["content"])
    assert summary_of(body).splitlines() == [OPENING, "- Plan a garden", f"- {('word ' * MAX_WORDS).strip()}..."]


def test_it_stays_short():
    lines = summary_of(said(*map(str, range(MAX_LISTED + 5)))).splitlines()

    assert lines[1:3] == ["- and 5 more before these", "- 5"]
    assert len(lines) == MAX_LISTED + 2
