"""Files that people attach: what is taken, what is refused in a sentence, whose they are, and how many are kept."""

import io
import subprocess
import threading
from uuid import uuid4

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse

from chatapp.conversations import attachments
from chatapp.models import Attachment, User
from tests.factories import make_assistant, make_conversation, make_message, make_user

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


def test_a_text_file_is_taken_with_its_name(client, ann):
    answer = upload(client, "# Notes\r\nÄpfel".encode(), "notes.md")

    stored = Attachment.objects.get()
    assert answer.status_code == 201
    assert answer.json() == {"id": str(stored.pk), "name": "notes.md", "chars": 13}
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
        (b"\x89PNG\r\n\x1a\n\0\0", 415, "Only text, Markdown and PDF files can be attached."),
        (b"text with a \0 in it", 415, "Only text, Markdown and PDF files can be attached."),
        (b"\xff\xfe\x00", 415, "Only text, Markdown and PDF files can be attached."),
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
    from chatapp.conversations import pdf_text

    code = (
        f"import sys; sys.argv = ['x', '1']; exec(open({pdf_text.__file__!r}).read().split('if __name__')[0]); "
        "limit_self(); bytearray(2 * MEMORY_BYTES)"
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
