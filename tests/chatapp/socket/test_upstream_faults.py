"""Whatever the provider does, a reply ends with `reply.finished`, keeps its text, and the next one works."""

import socket
from collections.abc import Callable

import pytest

from chatapp.models import Message
from tests.chatapp.sockets import Tab, reply_text
from warmcache import services as warmcache
from warmcache.background.database import in_database_thread
from warmcache.models import UsageRecord, WarmUp

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.any_database]

BEFORE = {
    "bad key": ({"kind": "unauthorized"}, "failed", "key_refused", False),
    "rate limit, long wait": ({"kind": "rate_limited", "retry_after": 120}, "failed", "rate_limited", True),
    "rate limit, no wait told": ({"kind": "rate_limited"}, "failed", "rate_limited", True),
    "spend limit": ({"kind": "spend_limit"}, "failed", "spend_limit", False),
    "own spend limit": ({"kind": "own_spend_limit"}, "failed", "spend_limit", False),
    "server error": ({"kind": "server_error", "times": 3}, "failed", "server_error", True),
    "overloaded": ({"kind": "overloaded", "times": 3}, "failed", "overloaded", True),
    "not found": ({"kind": "status", "status": 404}, "failed", "model_not_found", False),
    "too large": ({"kind": "status", "status": 413}, "failed", "prompt_too_large", False),
    "reset": ({"kind": "reset", "times": 3}, "failed", "unreachable", True),
    "silence": ({"kind": "stall", "where": "before_headers", "times": 3}, "failed", "timed_out", True),
    "cut": ({"kind": "cut", "where": "before_first_token", "times": 3}, "interrupted", "stream_cut", True),
    "error event": ({"kind": "error_event", "where": "before_first_token", "times": 3}, None, "overloaded", True),
    "malformed": ({"kind": "malformed", "where": "before_first_token", "times": 3}, None, "stream_malformed", True),
    "early end": ({"kind": "end_early", "where": "before_first_token", "times": 3}, None, "stream_ended_early", True),
}
AFTER = {
    "silence": ({"kind": "stall"}, "stream_stalled"),
    "silence behind pings": ({"kind": "stall", "ping_seconds": 0.05}, "stream_stalled"),
    "a short silence": ({"kind": "stall", "seconds": 0.05}, None),
    "cut": ({"kind": "cut"}, "stream_cut"),
    "error event": ({"kind": "error_event"}, "overloaded"),
    "malformed": ({"kind": "malformed"}, "stream_malformed"),
    "early end": ({"kind": "end_early"}, "stream_ended_early"),
}


@pytest.fixture(autouse=True)
def no_pause_between_tries(monkeypatch):
    monkeypatch.setattr("warmcache.requests.retry.FIRST_BACKOFF_SECONDS", 0.0)


@pytest.fixture
def give_up_soon(settings) -> Callable[[str], None]:
    """Makes one time-out such that a test can wait for it, and no other: a busy machine is silent, too."""

    def shorten(name: str) -> None:
        settings.WARMCACHE = {**settings.WARMCACHE, f"{name}_TIMEOUT_SECONDS": 1.0}

    return shorten


@pytest.fixture
def all_goes_well(simulator, settings) -> Callable[[], None]:
    """What a test has spoiled is mended, and nobody is given up soon."""
    usual = settings.WARMCACHE

    def mend() -> None:
        simulator.call("DELETE", "faults")
        simulator.call("DELETE", "script")
        settings.WARMCACHE = usual

    return mend


async def ask(tab: Tab, text: str = "A question", **place) -> dict:
    await tab.say(text, **place)
    return await tab.until("reply.finished")


async def assert_the_next_message_works(tab: Tab) -> None:
    conversation_id = tab.of_type("message.created")[0]["conversation_id"]
    finished = await ask(tab, "And now?", conversation_id=conversation_id)
    assert finished["status"] == "complete"


@pytest.mark.parametrize("name", BEFORE)
async def test_a_fault_before_the_first_token_ends_the_reply_in_words(
    open_tab, ann, assistant, simulator, give_up_soon, all_goes_well, name
):
    fault, status, code, is_retryable = BEFORE[name]
    simulator.fault(match="reply", **fault)
    if fault["kind"] == "stall":
        give_up_soon("FIRST_EVENT")
    tab = await open_tab(ann)

    finished = await ask(tab, assistant_id=assistant.pk)

    assert finished["error"]["code"] == code
    assert finished["error"]["retryable"] is is_retryable
    assert finished["status"] == (status or "interrupted")
    assert finished["error"]["message"].endswith(".")
    assert finished["ttft_ms"] is None
    row = await in_database_thread(Message.objects.get, pk=finished["reply_id"])
    assert (row.status, row.error_code, row.text) == (finished["status"], code, "")
    assert row.error_message == finished["error"]["message"]
    assert 1 <= len(simulator.requests()) <= 3
    await warmcache.flush()
    assert (await in_database_thread(UsageRecord.objects.get)).error_code == code
    all_goes_well()
    await assert_the_next_message_works(tab)


@pytest.mark.parametrize("name", AFTER)
async def test_a_fault_after_the_first_token_keeps_what_has_come(
    open_tab, ann, assistant, simulator, give_up_soon, all_goes_well, name, frame_per_delta
):
    fault, code = AFTER[name]
    simulator.script(tokens=400)
    simulator.fault(match="reply", where="after_first_token", after_tokens=64, **fault)
    if code == "stream_stalled":
        give_up_soon("IDLE")
    tab = await open_tab(ann)

    finished = await ask(tab, assistant_id=assistant.pk)

    shown = reply_text(tab.frames)
    row = await in_database_thread(Message.objects.get, pk=finished["reply_id"])
    assert finished["status"] == ("interrupted" if code else "complete")
    assert (finished["error"]["code"] if code else finished["error"]) == code
    assert row.text == shown
    assert len(shown) > 100
    assert len(simulator.requests()) == 1
    assert finished["ttft_ms"] is not None
    all_goes_well()
    await assert_the_next_message_works(tab)


@pytest.mark.parametrize("name", ["server error", "overloaded", "reset"])
async def test_one_fault_before_the_first_token_is_not_even_noticed(open_tab, ann, assistant, simulator, name):
    fault = {**BEFORE[name][0], "times": 1}
    simulator.fault(match="reply", **fault)
    tab = await open_tab(ann)

    finished = await ask(tab, assistant_id=assistant.pk)

    assert (finished["status"], finished["error"]) == ("complete", None)
    assert len(simulator.requests()) == 2


@pytest.mark.parametrize("name", BEFORE)
async def test_a_warm_up_that_fails_says_so_and_breaks_no_reply(
    open_tab, ann, assistant, simulator, give_up_soon, name
):
    fault, _, code, _ = BEFORE[name]
    if fault.get("where") == "before_first_token":
        fault, code = {"kind": "cut"}, "unreachable"
    simulator.fault(match="warm_up", **{**fault, "times": 1})
    if fault["kind"] == "stall":
        give_up_soon("WARM_UP")
    tab = await open_tab(ann)
    await tab.send("typing.started", assistant_id=assistant.pk, chars=1)
    failed = await tab.until("warmth", state="failed")

    finished = await ask(tab, assistant_id=assistant.pk)

    assert failed["reason"] == code
    assert finished["status"] == "complete"
    await warmcache.flush()
    warm_up = await in_database_thread(WarmUp.objects.get)
    assert (warm_up.outcome, warm_up.error_code) == ("failed", code)


async def test_a_provider_that_is_not_there_is_told(open_tab, ann, assistant, settings):
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{nobody.getsockname()[1]}"
        settings.WARMCACHE = {**settings.WARMCACHE, "BASE_URL": url}
        tab = await open_tab(ann)
        await tab.send("typing.started", assistant_id=assistant.pk, chars=1)
        failed = await tab.until("warmth", state="failed")

        finished = await ask(tab, assistant_id=assistant.pk)

    assert failed["reason"] == finished["error"]["code"] == "unreachable"
    assert (finished["status"], finished["error"]["retryable"]) == ("failed", True)


async def test_a_reply_does_not_wait_for_ever_for_a_stalled_warm_up(open_tab, ann, assistant, simulator, give_up_soon):
    simulator.fault(kind="stall", where="before_headers", match="warm_up")
    give_up_soon("WARM_UP")
    tab = await open_tab(ann)
    await tab.send("typing.started", assistant_id=assistant.pk, chars=1)
    await tab.until("warmth", state="warming")

    finished = await ask(tab, assistant_id=assistant.pk)

    assert finished["status"] == "complete"
    assert finished["warmth"] in ("raced", "joined", "cold")


async def test_an_assistant_with_an_unknown_model_says_what_is_wrong(open_tab, ann, assistant):
    await in_database_thread(type(assistant).objects.update, model="claude-of-the-future")
    tab = await open_tab(ann)

    finished = await ask(tab, assistant_id=assistant.pk)

    assert (finished["status"], finished["error"]["code"]) == ("failed", "model_not_found")
    assert finished["cost_usd"] is None
