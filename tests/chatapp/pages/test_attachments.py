"""Files that people attach: what is taken, what is refused in a sentence, whose they are, and how many are kept."""

import io
import resource
import subprocess
import threading
from datetime import timedelta
from uuid import uuid4

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from chatapp.conversations import attachments, pdf_text, prompts
from chatapp.models import Attachment, User
from chatapp.protocol import FrameError
from tests.factories import make_assistant, make_conversation, make_message, make_user
from tests.hostile_files import swelling_pdf
from tests.servers import PATIENCE_SECONDS

URL = "/attachments/"


@pytest.fixture
def ann(client: Client, db: None) -> User:
    user = make_user("ann")
    client.force_login(user)
    return user


def upload(client: Client, data: bytes, name: str = "notes.txt", content_type: str = "text/plain"):
    return client.post(URL, {"file": SimpleUploadedFile(name, data, content_type)})


def pdf(*pages: str, password: str = "") -> bytes:
    """A small PDF with these lines as its pages."""
    from pypdf import PdfWriter
    from pypdf.generic import DecodedStreamObject, DictionaryObject, NameObject

    writer = PdfWriter()
    for text in pages:
        page = writer.add_blank_page(width=300, height=300)
        font = DictionaryObject(
            {
                NameObject("/Type"): NameObject("/Font"),
                NameObject("/Subtype"): NameObject("/Type1"),
                NameObject("/BaseFont"): NameObject("/Helvetica"),
            }
        )
        page[NameObject("/Resources")] = DictionaryObject(
            {NameObject("/Font"): DictionaryObject({NameObject("/F1"): font})}
        )
        content = DecodedStreamObject()
        content.set_data(f"BT /F1 12 Tf 20 200 Td ({text}) Tj ET".encode())
        page[NameObject("/Contents")] = writer._add_object(content)
    if password:
        writer.encrypt(password, algorithm="RC4-128")
    file = io.BytesIO()
    writer.write(file)
    return file.getvalue()


@pytest.mark.any_database
@pytest.mark.parametrize("letters", [10_000, 2_000_000], ids=["too long", "too much for the reader"])
def test_a_pdf_that_swells_takes_no_more_of_the_server_than_a_long_text(ann, monkeypatch, letters):
    file = swelling_pdf(letters)
    monkeypatch.setattr(attachments, "PDF_SECONDS", PATIENCE_SECONDS)
    read: list[int] = []
    decode = attachments._pdf_text
    monkeypatch.setattr(attachments, "_pdf_text", lambda *a: read.append(len(text := decode(*a))) or text)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    with pytest.raises(attachments.AttachmentRefused, match=r"more than 400,000 characters|cannot be read"):
        attachments.store(ann, name="small.pdf", data=file)

    grown_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert len(file) < 5_000
    assert all(chars <= attachments.MAX_CHARS + 1 for chars in read)
    assert grown_kib < 32 * 1024
    assert attachments._readers.acquire(blocking=False)
    attachments._readers.release()


def test_a_text_file_is_taken_with_its_name(client, ann):
    answer = upload(client, "# Notes\r\nÄpfel".encode(), "notes.md")

    stored = Attachment.objects.get()
    assert answer.status_code == 201
    assert answer.json() == {
        "id": str(stored.pk),
        "name": "notes.md",
        "chars": 13,
        "bytes": 14,
        "width": 0,
        "height": 0,
    }
    assert (stored.user, stored.text, stored.message) == (ann, "# Notes\nÄpfel", None)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_a_byte_order_mark_tells_the_encoding(client, ann, encoding):
    upload(client, "Grüße".encode(encoding))

    assert Attachment.objects.get().text == "Grüße"


def test_the_pages_of_a_pdf_become_text_whatever_it_is_called(client, ann):
    answer = upload(client, pdf("First page", "Second page"), "report.txt", "text/plain")

    assert answer.status_code == 201
    assert Attachment.objects.get().text == "First page\n\nSecond page"


@pytest.mark.parametrize(
    ("data", "status", "message"),
    [
        (b"\x89PNG\r\n\x1a\n\0\0", 422, "This picture cannot be read."),
        (
            b"text with a \0 in it",
            415,
            "Only text, Markdown, PDF files and pictures (PNG, JPEG, WebP, GIF) can be attached.",
        ),
        (b"\xff\xfe\x00", 415, "Only text, Markdown, PDF files and pictures (PNG, JPEG, WebP, GIF) can be attached."),
        (b" \n\t", 422, "There is no text in this file."),
        (b"%PDF-1.7 and then nothing of one", 422, "This PDF cannot be read."),
    ],
)
def test_what_cannot_be_read_is_refused_in_a_sentence(client, ann, data, status, message):
    answer = upload(client, data)

    assert (answer.status_code, answer.json()) == (status, {"message": message})
    assert not Attachment.objects.exists()


def test_an_empty_and_a_locked_pdf_say_so(client, ann):
    empty, locked = upload(client, pdf("")), upload(client, pdf("Secret", password="open"))

    assert empty.json()["message"] == "There is no text in this file."
    assert locked.json()["message"] == "This PDF is protected by a password."


def test_a_file_that_is_too_large_or_too_long_is_refused(client, ann, monkeypatch):
    monkeypatch.setattr(attachments, "MAX_FILE_BYTES", 1000)
    monkeypatch.setattr(attachments, "MAX_CHARS", 100)

    long = upload(client, b"x" * 101)
    large = upload(client, b"x" * 1001)
    huge = upload(client, b"x" * 50_000)

    assert long.json()["message"] == "This file holds more than 100 characters of text."
    assert [answer.status_code for answer in (long, large, huge)] == [413, 413, 413]


def test_a_pdf_that_takes_too_long_is_given_up(client, ann, monkeypatch):
    def hang(*args, timeout, **options):
        raise subprocess.TimeoutExpired("pdf_text", timeout)

    monkeypatch.setattr(attachments.subprocess, "run", hang)

    assert upload(client, pdf("Slow")).json()["message"] == "This PDF takes too long to read."
    assert attachments._readers.acquire(blocking=False)
    attachments._readers.release()


def test_no_more_pdfs_are_read_at_once_than_there_is_room_for(client, ann, monkeypatch):
    monkeypatch.setattr(attachments, "_readers", threading.BoundedSemaphore(1))
    monkeypatch.setattr(attachments, "PDF_PATIENCE_SECONDS", 0.01)
    attachments._readers.acquire()

    assert upload(client, pdf("Next")).status_code == 503


def test_the_reader_of_pdfs_may_have_so_much_and_no_more():
    code = (
        f"import sys; sys.argv = ['x', '1']; exec(open({pdf_text.__file__!r}).read().split('if __name__')[0]); "
        "limit_self(100); bytearray(2 * MEMORY_BYTES)"
    )

    ended = subprocess.run([attachments.sys.executable, "-I", "-c", code], capture_output=True, text=True)

    assert "MemoryError" in ended.stderr


@pytest.mark.parametrize(
    ("given", "stored"),
    [("..\\..\\boot.ini", "boot.ini"), ("a\u202ecod.txt", "acod.txt"), ("", "file"), ("x" * 300, "x" * 200)],
)
def test_a_name_is_only_a_name(ann, given, stored):
    assert attachments.store(ann, name=given, data=b"text").name == stored


def test_of_files_that_are_never_sent_the_oldest_go(ann, monkeypatch):
    monkeypatch.setattr(attachments, "MAX_WAITING", 3)
    bob = make_user("bob")
    others = attachments.store(bob, name="bob", data=b"text")
    message = make_message(make_conversation(ann, make_assistant()))
    sent = Attachment.objects.create(user=ann, message=message, name="sent", text="text")

    for number in range(5):
        attachments.store(ann, name=f"{number}", data=b"text")

    left = set(Attachment.objects.values_list("name", flat=True))
    assert left == {others.name, sent.name, "2", "3", "4"}


def test_what_is_not_sent_can_be_taken_back_by_its_owner_only(client, ann):
    mine = attachments.store(ann, name="mine", data=b"text")
    foreign = attachments.store(make_user("bob"), name="foreign", data=b"text")
    message = make_message(make_conversation(ann, make_assistant()))
    sent = Attachment.objects.create(user=ann, message=message, name="sent", text="text")

    codes = [
        client.post(reverse("delete_attachment", args=[pk])).status_code
        for pk in (mine.pk, foreign.pk, sent.pk, uuid4())
    ]

    assert codes == [204, 404, 404, 404]
    assert set(Attachment.objects.values_list("name", flat=True)) == {"foreign", "sent"}


def test_strangers_other_methods_and_missing_tokens_are_refused(client, ann):
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(ann)

    assert client.get(URL).status_code == 405
    assert client.post(URL).json()["message"] == "No file came with the request."
    assert upload(strict, b"text").status_code == 403
    assert upload(Client(), b"text")["Location"].startswith("/accounts/login/")
    assert not Attachment.objects.exists()


def test_a_person_s_files_together_have_a_quota_that_says_what_is_used(client, ann, settings):
    settings.ATTACHMENT_QUOTA_BYTES = 2 * 1024**2
    large = "😀".encode() * 250_000
    other = make_user("bob")
    Attachment.objects.create(user=other, name="theirs", text="x", size_bytes=10 * 1024**2)

    answers = [upload(client, large), upload(client, large), upload(client, large), upload(client, b"small")]

    assert [answer.status_code for answer in answers] == [201, 201, 413, 201]
    words = "Your files and imports hold 1.9 of 2 MB. Delete a conversation with files, or an import."
    assert answers[2].json() == {"message": words}
    assert sum(Attachment.objects.filter(user=ann).values_list("size_bytes", flat=True)) <= 2 * 1024**2


def test_what_is_deleted_makes_room_again(client, ann, settings):
    settings.ATTACHMENT_QUOTA_BYTES = 1024**2
    first = upload(client, b"x" * 400_000).json()["id"]
    upload(client, b"x" * 400_000)
    refused = upload(client, b"x" * 400_000).status_code

    client.post(reverse("delete_attachment", args=[first]))

    assert (refused, upload(client, b"x" * 400_000).status_code) == (413, 201)


def test_files_that_are_too_much_for_one_message_are_refused_with_it(ann, monkeypatch):
    monkeypatch.setattr(attachments, "MAX_MESSAGE_BYTES", 10)
    files = [attachments.store(ann, name=f"{n}", data=b"12345") for n in range(3)]

    assert len(attachments.to_send(ann, [each.pk for each in files[:2]])) == 2
    with pytest.raises(FrameError, match="at most 0 MB of text and pictures together") as refused:
        attachments.to_send(ann, [each.pk for each in files])
    assert refused.value.code == "message_too_large"


def test_an_edit_counts_the_files_that_it_keeps(ann, monkeypatch):
    monkeypatch.setattr(attachments, "MAX_MESSAGE_BYTES", 10)
    monkeypatch.setattr(attachments, "MAX_ATTACHMENTS", 2)
    first, second, third = (attachments.store(ann, name=f"{n}", data=b"123456") for n in range(3))
    conversation = make_conversation(ann, make_assistant())
    one = make_message(conversation, content=prompts.message_content("Why?", [first]))
    two = make_message(conversation, content=prompts.message_content("Why?", [first, second]))

    assert attachments.to_send(ann, [], edit_of=one) == []
    with pytest.raises(FrameError, match="of text and pictures together"):
        attachments.to_send(ann, [third.pk], edit_of=one)
    with pytest.raises(FrameError, match="At most 2 files"):
        attachments.to_send(ann, [third.pk], edit_of=two)


def test_what_is_never_sent_is_swept_after_a_day(ann, monkeypatch):
    monkeypatch.setattr(attachments, "SWEPT_AT_ONCE", 2)
    message = make_message(make_conversation(ann, make_assistant()))
    sent = Attachment.objects.create(user=ann, message=message, name="sent", text="text")
    old = [attachments.store(ann, name=f"old {n}", data=b"text").pk for n in range(5)]
    long_ago = timezone.now() - attachments.UNSENT_LIFETIME - timedelta(seconds=1)
    Attachment.objects.filter(pk__in=[sent.pk, *old]).update(created_at=long_ago)
    new = attachments.store(ann, name="new", data=b"text")

    assert attachments.sweep() == 5

    assert set(Attachment.objects.all()) == {sent, new}
