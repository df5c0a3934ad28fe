"""A long conversation: the page marks up to where the assistant gets a summary, and shows it on demand."""

from collections.abc import Callable

from playwright.sync_api import Page, expect

from tests.servers.chat_server import ChatServer, LiveUser
from tests.servers.fork_server import output_of

MARK = "The earlier part is summarised for the assistant"
SEED = """
from chatapp.models import Assistant, Summary, User
from tests.factories import make_conversation, make_talk
conversation = make_conversation(User.objects.get(pk={user}), Assistant.objects.first(), title="Garden")
talk = make_talk(conversation, [f"Message {{number}}" for number in range(12)])
text = "You plan a garden.\\n- <b>No</b> roses."
Summary.objects.create(conversation=conversation, through=talk[3], used_from=talk[11], text=text)
print(conversation.pk)
"""


def test_the_mark_shows_the_summary_as_plain_text_and_hides_no_message(
    server: ChatServer, open_page: Callable[..., Page], person: LiveUser
) -> None:
    program = ["manage.py", "shell", "--verbosity", "0", "-c", SEED.format(user=person.id)]
    conversation_id = output_of(program, environment=server.environment()).strip()

    page = open_page(f"{server.url}/c/{conversation_id}/", user=person)

    expect(page.get_by_test_id("message")).to_have_count(12)
    mark = page.get_by_test_id("summarised").locator("visible=true")
    expect(mark).to_have_count(1)
    expect(page.get_by_test_id("message").nth(3)).to_contain_text(MARK)
    mark.get_by_text(MARK).click()
    expect(mark.get_by_text("- <b>No</b> roses.")).to_be_visible()
