"""The demo on a real model with a real cache that is not ours: what it reports, we must have understood."""

import pytest
from playwright.sync_api import expect

from tests.browsers import Chromium
from tests.servers import MissingServerError
from tests.servers.local_demo import LocalDemo

pytestmark = pytest.mark.soak


@pytest.fixture
def demo(tmp_path):
    try:
        demo = LocalDemo(tmp_path)
    except MissingServerError as error:
        pytest.skip(str(error))
    with demo:
        yield demo


def test_what_was_warmed_while_a_person_typed_is_read_from_the_model_s_own_cache(chromium: Chromium, demo: LocalDemo):
    with chromium.contexts() as contexts:
        page = contexts.open_page(demo.link)
        page.get_by_role("button").first.click()
        page.wait_for_selector("html[data-ready='true']")
        expect(page.get_by_test_id("upstream-notice")).to_contain_text("real cache, toy answers")
        page.get_by_test_id("composer-input").press_sequentially("When does the ferry leave?")
        expect(page.get_by_test_id("warmth-badge")).to_have_attribute("data-state", "warm")
        page.get_by_test_id("composer-input").press("Enter")
        page.locator("[data-testid=reply][data-status=complete]").wait_for()

    (warm_up,), (reply,) = demo.rows("warmup"), demo.rows("usagerecord")
    prompt_tokens = reply["cache_read_tokens"] + reply["input_tokens"]
    assert reply["cache_read_tokens"] > 0.9 * prompt_tokens
    assert (warm_up["outcome"], reply["warmth"], reply["upstream"]) == ("hit", "hit", "local")
