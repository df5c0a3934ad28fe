"""Links by which everybody who has one may read a conversation."""

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from chatapp.accounts import deletions
from chatapp.conversations import deletions as conversation_deletions
from chatapp.conversations import shared_links
from chatapp.models import Attachment, Conversation, Message, SharedLink, User
from chatapp.pages import post_limits
from chatapp.pages.post_limits import Buckets
from chatapp.process.log_privacy import TOKEN_PATH
from chatapp.tokens import hash_of
from tests.factories import make_assistant, make_conversation, make_message, make_talk, make_user
from warmcache.testing import FakeClock

pytestmark = pytest.mark.django_db

SECRET = "canary"
"""In everything that a shared page must not hold."""


@pytest.fixture(autouse=True)
def many_readers(monkeypatch) -> None:
    monkeypatch.setattr(post_limits, "of_readers", Buckets(capacity=1_000, per_second=1))


@pytest.fixture
def ann(client: Client) -> User:
    user = make_user(f"ann-{SECRET}", email=f"{SECRET}@example.org", instructions=f"Say {SECRET}.")
    client.force_login(user)
    return user


@pytest.fixture
def conversation(ann) -> Conversation:
    """Two versions of the second question, with a file, thinking, a tool's data and a cost; the newer one is shown."""
    conversation = make_conversation(ann, make_assistant(name="Guide"), title="Ships & <boats>")
    talk = make_talk(conversation, ["Which ship?", "The **blue** one.", f"Why {SECRET}?", f"Because of {SECRET}."])
    file = Attachment.objects.create(user=ann, name=f"{SECRET}.txt", text=SECRET, size_bytes=6)
    document = {"type": "document", "title": file.name, "source": {"type": "attachment", "id": str(file.pk)}}
    said = [document, {"type": "text", "text": "Why <b>blue</b>?"}]
    edited = make_message(conversation, "Why <b>blue</b>?", parent=talk[1], edit_of=talk[2], content=said, sender=ann)
    thought = {"type": "thinking", "thinking": SECRET, "signature": "c2ln"}
    tool = {"type": "server_tool_use", "id": "t", "name": SECRET, "input": {"query": SECRET}}
    make_message(
        conversation,
        "It is the sea.",
        role="assistant",
        parent=edited,
        content=[thought, tool, {"type": "text", "text": "It is the sea."}],
        rounds=[{"message": {"id": SECRET}}],
        model=f"claude-{SECRET}",
        cost_usd="0.12345678",
    )
    return conversation


def share(client: Client, conversation: Conversation, **fields: Any) -> Any:
    return client.post(f"/c/{conversation.pk}/share/", {"days": 30, **fields})


def path_of(answer: Any) -> str:
    assert answer.status_code == 201, answer.content
    url = str(answer.json()["url"])
    return url.removeprefix("http://testserver")


def test_a_stranger_reads_the_shown_branch_and_nothing_else(client, conversation):
    path = path_of(share(client, conversation))

    page = Client().get(path)

    assert page.status_code == 200
    text = page.content.decode()
    title, question = "Ships &amp; &lt;boats&gt;", "Why &lt;b&gt;blue&lt;/b&gt;?"
    said = [title, "Which ship?", "The **blue** one.", question, "It is the sea."]
    places = [text.index(each) for each in said]
    assert places == sorted(places)
    assert ">Guide</p>" in text
    assert SECRET not in text.lower()
    assert "0.1234" not in text and "<form" not in text
    assert str(conversation.pk) not in text


def test_the_page_is_listed_nowhere_tells_nobody_and_is_the_same_for_all(client, conversation):
    path = path_of(share(client, conversation))

    pages = [browser.get(path) for browser in (Client(), client)]
    ended = Client().get("/shared/unknown/")

    for page in (*pages, ended):
        assert "noindex" in page.headers["X-Robots-Tag"]
        assert page.headers["Referrer-Policy"] == "no-referrer"
        assert "no-store" in page.headers["Cache-Control"]
        assert "require-trusted-types-for" in page.headers["Content-Security-Policy"]
    bodies = [page.content.decode().replace(str(page.wsgi_request.csp_nonce), "") for page in pages]
    assert bodies[0] == bodies[1]
    assert "sessionid" not in pages[0].cookies
    assert (ended.status_code, "There is nothing here" in ended.content.decode()) == (404, True)


def test_what_is_said_or_renamed_later_is_not_in_it(client, conversation):
    path = path_of(share(client, conversation))
    last = Message.objects.get(text="It is the sea.")
    make_message(conversation, "A later question", parent=last)
    Conversation.objects.update(title="A later title")

    text = Client().get(path).content.decode()

    assert "later" not in text
    assert "It is the sea." in text


def test_a_reply_that_is_being_written_is_not_shared(client, conversation):
    last = Message.objects.get(text="It is the sea.")
    question = make_message(conversation, "And now?", parent=last)
    make_message(conversation, "Half of", role="assistant", parent=question, status="streaming")

    path = path_of(share(client, conversation))
    Message.objects.filter(text="Half of").update(status="complete")

    text = Client().get(path).content.decode()
    assert "And now?" in text
    assert "Half of" not in text


def test_only_the_hash_of_the_token_is_stored(client, conversation):
    token = path_of(share(client, conversation)).split("/")[2]

    link = SharedLink.objects.get()

    assert link.token_hash == hash_of(token)
    assert token not in str(vars(link))
    assert TOKEN_PATH.sub(r"\1...", f"Not Found: /shared/{token}/") == "Not Found: /shared/.../"


def test_a_link_ends_with_its_time_its_conversation_and_its_owner(client, conversation, ann):
    path = path_of(share(client, conversation, days=1))

    def status() -> int:
        return Client().get(path).status_code

    SharedLink.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    assert status() == 404
    SharedLink.objects.update(expires_at=timezone.now() + timedelta(days=1))
    User.objects.update(is_active=False)
    assert status() == 404
    User.objects.update(is_active=True)
    assert status() == 200
    conversation_deletions.delete(Conversation.objects.get(pk=conversation.pk))
    assert status() == 404
    conversation_deletions.restore(ann, conversation.pk)
    assert status() == 404, "who brings a conversation back has not shared it again"
    assert client.get(f"/c/{conversation.pk}/").status_code == 200
    Conversation.objects.filter(pk=conversation.pk).delete()
    assert not SharedLink.objects.exists()


def test_erasing_a_person_ends_their_links_at_once_and_forgets_their_instructions(client, conversation, ann):
    path = path_of(share(client, conversation))

    deletions.ask(User.objects.get(pk=ann.pk))

    assert Client().get(path).status_code == 404
    assert User.objects.get(pk=ann.pk).instructions == ""
    while not deletions.delete_some(ann.pk).is_done:
        pass
    assert not SharedLink.objects.exists()


def test_links_whose_time_is_over_are_deleted(client, conversation):
    for _ in range(2):
        share(client, conversation)
    SharedLink.objects.filter(pk=SharedLink.objects.earliest("pk").pk).update(expires_at=timezone.now())

    shared_links.forget_expired()

    assert SharedLink.objects.count() == 1


def test_the_account_lists_one_s_own_links_and_revokes_them(client, conversation):
    path = path_of(share(client, conversation))
    other = Client()
    other.force_login(make_user("bob"))
    link = SharedLink.objects.get()

    assert "Ships &amp; &lt;boats&gt;" in client.get("/accounts/").content.decode()
    assert "Ships" not in other.get("/accounts/").content.decode()
    assert other.post(f"/accounts/links/{link.pk}/revoke/").status_code == 404
    assert Client().get(path).status_code == 200
    assert client.post(f"/accounts/links/{link.pk}/revoke/").status_code == 302
    assert Client().get(path).status_code == 404
    assert "Ships" not in client.get("/accounts/").content.decode()


def test_what_cannot_be_shared_says_why(client, conversation, ann, monkeypatch):
    temporary = make_conversation(ann, is_temporary=True)
    make_message(temporary, "Nowhere else")
    empty, foreign = make_conversation(ann), make_conversation()

    assert share(client, temporary).status_code == 404
    assert share(client, foreign).status_code == 404
    assert "nothing to share" in share(client, empty).json()["message"]
    assert share(client, conversation, days=2).status_code == 400
    monkeypatch.setattr(shared_links, "MAX_BYTES", 10)
    assert (share(client, conversation).status_code, SharedLink.objects.count()) == (413, 0)
    monkeypatch.undo()
    monkeypatch.setitem(shared_links.LIMITS, "shared_links", 1)
    assert [share(client, conversation).status_code for _ in range(2)] == [201, 409]


def test_an_address_reads_so_many_pages_whether_or_not_they_are_there(client, conversation, monkeypatch):
    clock = FakeClock()
    path = path_of(share(client, conversation))
    monkeypatch.setattr(post_limits, "of_readers", Buckets(capacity=2, per_second=1, clock=clock.now))

    found = [Client().get(each).status_code for each in (path, "/shared/guess/", path)]
    elsewhere = Client().get(path, REMOTE_ADDR="198.51.100.7")
    clock.advance(1)

    assert found == [200, 404, 429]
    assert elsewhere.status_code == 200
    assert Client().get(path).status_code == 200
