"""The demo's content: made once, never again, and never over an operator's edits."""

import pytest

from chatapp.conversations import output_schemas, toolbox
from chatapp.demo import costs, seeding
from chatapp.demo.content import ASSISTANTS
from chatapp.models import Assistant, Document, OwnTool, User
from warmcache.core.catalog import facts_for
from warmcache.simulator import tool_calls

pytestmark = pytest.mark.django_db


def test_a_first_start_makes_four_assistants_and_a_user_without_a_password():
    user = seeding.seed()

    assert (user.username, user.is_staff, user.is_superuser) == ("demo", True, True)
    assert not user.has_usable_password()
    assert set(Assistant.objects.values_list("slug", flat=True)) == {
        "python-reference",
        "warmcache-guide",
        "small-talk",
        "to-do-list",
    }
    assert Assistant.objects.get(is_default=True).slug == "python-reference"
    assert all(assistant.description for assistant in Assistant.objects.all())


def test_what_is_made_is_valid_as_the_admin_would_have_it():
    seeding.seed()

    for row in [*Assistant.objects.all(), *Document.objects.all()]:
        row.full_clean()
    for assistant in Assistant.objects.all():
        assert facts_for(assistant.model).known
        if assistant.thinking == "between_tools":
            assert "between_tools" in facts_for(assistant.model).thinking


def test_between_them_the_assistants_show_each_tool_and_a_structured_answer():
    seeding.seed()

    made = list(Assistant.objects.all())

    assert {name for each in made for name in each.own_tools} == set(OwnTool.values)
    for each in made:
        assert OwnTool.SEARCH_DOCUMENTS not in each.own_tools or each.documents.exists()
        assert each.suggestions
    schemas = [each.output_schema for each in made if each.output_schema]
    assert schemas
    assert [output_schemas.problem_of_schema(schema) for schema in schemas] == [None] * len(schemas)


def test_the_simulator_calls_the_tool_that_a_suggestion_names():
    seeding.seed()

    called = set()
    for assistant in Assistant.objects.all():
        for line in assistant.suggestions.splitlines():
            said = {"role": "user", "content": [{"type": "text", "text": line}]}
            body = {"tools": list(toolbox.definitions(assistant)), "system": [], "messages": [said]}
            called |= {each.tool["name"] for each in tool_calls.wanted_calls(body, line)}

    assert called == set(OwnTool.values)


def test_a_second_start_changes_nothing_and_asks_twice(django_assert_num_queries):
    seeding.seed()
    before = list(Assistant.objects.values()), list(Document.objects.values())

    with django_assert_num_queries(2):
        seeding.seed()

    assert (list(Assistant.objects.values()), list(Document.objects.values())) == before


def test_an_operator_s_edits_are_kept():
    seeding.seed()
    Assistant.objects.filter(slug="python-reference").update(model="claude-opus-5-5", is_default=False)
    Assistant.objects.filter(slug="small-talk").update(is_default=True)
    User.objects.filter(username="demo").update(is_superuser=False)
    Document.objects.all().delete()

    seeding.seed()

    assert Assistant.objects.get(slug="python-reference").model == "claude-opus-5-5"
    assert Assistant.objects.get(is_default=True).slug == "small-talk"
    assert not User.objects.get(username="demo").is_superuser
    assert not Document.objects.exists()


def test_what_comes_back_does_not_take_the_place_of_another_default():
    seeding.seed()
    Assistant.objects.filter(slug="python-reference").delete()
    Assistant.objects.filter(slug="small-talk").update(is_default=True)

    seeding.seed()

    assert Assistant.objects.filter(slug="python-reference", is_default=False).exists()


def test_small_talk_is_too_short_to_be_cached():
    small_talk = next(spec for spec in ASSISTANTS if spec.slug == "small-talk")
    facts = facts_for(small_talk.fields["model"])

    assert len(small_talk.fields["system_prompt"]) / facts.chars_per_token < facts.min_prefix_tokens
    assert "own_tools" not in small_talk.fields
    assert small_talk.documents() == []


def test_costs_are_told_for_what_can_be_warmed():
    seeding.seed()

    sentences = list(costs.first_warm_ups())

    assert any("Python reference" in each and "$0.1" in each for each in sentences)
    assert not any("Small talk" in each for each in sentences)


def test_an_unknown_price_is_said_to_be_unknown():
    seeding.seed()
    Assistant.objects.filter(slug="python-reference").update(model="some-model-of-mine")

    assert any("not known for some-model-of-mine" in each for each in costs.first_warm_ups())
