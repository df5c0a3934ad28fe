"""Pictures that people attach: what becomes of their pixels, who may see them, and what a bomb may take."""

import base64
import io
import struct

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.utils import timezone
from PIL import Image

from chatapp.conversations import attached_texts, exports, image_reader, prepared_conversations, prompts
from chatapp.conversations.acks import attached_images, attached_names
from chatapp.models import Attachment, User
from tests.factories import make_assistant, make_conversation, make_message, make_user
from tests.pictures import claims_many_pixels, picture_file
from warmcache.core.prefix import build
from warmcache.testing import KEY

URL = "/attachments/"
RED, BLUE = (255, 0, 0), (0, 0, 255)


@pytest.fixture
def ann(client: Client, db: None) -> User:
    user = make_user("ann")
    client.force_login(user)
    return user


def upload(client: Client, data: bytes, name: str = "ship.png"):
    return client.post(URL, {"file": SimpleUploadedFile(name, data, "text/plain")})


def attached(client: Client, data: bytes, name: str = "ship.png") -> Attachment:
    return Attachment.objects.get(pk=upload(client, data, name).json()["id"])


def pixels(attachment: Attachment) -> Image.Image:
    return Image.open(io.BytesIO(bytes(attachment.picture or b""))).convert("RGB")


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "GIF"])
def test_a_picture_of_each_kind_is_told_by_its_bytes(client, ann, kind):
    answer = upload(client, picture_file(kind), "notes.txt")

    assert answer.status_code == 201
    assert (answer.json()["width"], answer.json()["height"], answer.json()["chars"]) == (60, 40, 0)
    kept = Attachment.objects.get()
    assert kept.media_type in ("image/png", "image/jpeg")
    assert kept.size_bytes == len(kept.picture or b"") == answer.json()["bytes"]


def test_where_a_small_local_model_answers_a_picture_is_refused_in_words(client, ann, settings):
    settings.LOCAL_MODEL_NOTE = "a toy"

    answer = upload(client, picture_file("PNG"))

    assert answer.status_code == 415
    assert answer.json()["message"] == "The local model reads no pictures, only text, Markdown and PDF files."
    assert not Attachment.objects.exists()


def test_a_large_picture_is_made_as_small_as_the_model_reads_it(client, ann):
    kept = attached(client, picture_file("JPEG", (4000, 3000)))

    assert pixels(kept).size == (kept.width, kept.height)
    assert kept.width * kept.height <= image_reader.READ_PIXELS
    assert kept.width / kept.height == pytest.approx(4 / 3, abs=0.01)
    assert image_reader.read_size(20_000, 10) == (image_reader.LONG_EDGE, 1)
    assert image_reader.read_size(1, 1) == (1, 1)


def test_only_the_first_frame_of_an_animation_is_kept(client, ann):
    second = Image.new("RGB", (60, 40), "green")
    kept = attached(client, picture_file("GIF", save_all=True, append_images=[second]))

    assert pixels(kept).getpixel((5, 5)) == RED


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_picture_stands_upright_and_tells_nothing_of_its_camera(client, ann, orientation):
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = orientation, "Secret Camera"
    kept = attached(client, picture_file("PNG", exif=exif, icc_profile=b"Secret Profile", dpi=(7, 7)))

    # By the table of the EXIF standard: where the row's first pixel, which is red, is seen.
    assert (kept.width, kept.height) == ((60, 40) if orientation < 5 else (40, 60))
    red_at = {1: (2, 20), 2: (57, 20), 3: (57, 20), 4: (2, 20), 5: (20, 2), 6: (20, 2), 7: (20, 57), 8: (20, 57)}
    assert pixels(kept).getpixel(red_at[orientation]) == RED
    shown = Image.open(io.BytesIO(bytes(kept.picture)))
    assert b"Secret" not in bytes(kept.picture)
    assert not shown.getexif() and not shown.info


def test_what_is_transparent_stays_so_and_the_same_picture_has_the_same_bytes(client, ann):
    file = picture_file("PNG", mode="RGBA")
    one, other = attached(client, file), attached(client, file)

    assert Image.open(io.BytesIO(bytes(one.picture))).mode == "RGBA"
    assert one.picture == other.picture


def test_a_bomb_is_refused_with_a_sentence(client, ann):
    bomb = claims_many_pixels(10_000, 6_000)
    # It claims more than it holds, and more than any memory does.
    liar = bomb[:16] + struct.pack(">II", 2**31 - 1, 2**31 - 1) + bomb[24:]

    assert len(bomb) < 20_000
    assert upload(client, bomb).json() == {"message": "A picture may have at most 50 million pixels."}
    assert upload(client, liar).status_code == 422
    assert upload(client, picture_file("JPEG")[:200]).json() == {"message": "This picture cannot be read."}
    assert not Attachment.objects.exists()


def test_pictures_count_in_the_quota_of_bytes(client, ann, settings):
    file = picture_file()
    settings.ATTACHMENT_QUOTA_BYTES = attached(client, file).size_bytes

    assert upload(client, file).status_code == 413


def test_a_picture_is_shown_to_its_owner_alone_and_can_act_as_no_page(client, ann):
    kept = attached(client, picture_file(), 'ship".png')
    stranger = Client()
    stranger.force_login(make_user("berta", is_superuser=True, is_staff=True))

    answer = client.get(f"{URL}{kept.pk}/")

    assert answer.content == bytes(kept.picture)
    assert answer["Content-Type"] == "image/png"
    assert answer["X-Content-Type-Options"] == "nosniff"
    assert answer["Cache-Control"] == "private, no-store"
    assert answer["Content-Security-Policy"] == "default-src 'none'; sandbox"
    assert stranger.get(f"{URL}{kept.pk}/").status_code == 404
    assert Client().get(f"{URL}{kept.pk}/").status_code == 302
    text = attached(client, b"only a text")
    assert client.get(f"{URL}{text.pk}/").status_code == 404


def test_a_picture_is_gone_with_its_conversation(client, ann):
    kept = attached(client, picture_file())
    conversation = make_conversation(ann, make_assistant())
    kept.message = make_message(conversation, content=prompts.message_content("Look", [kept]))
    kept.save()
    assert client.get(f"{URL}{kept.pk}/").status_code == 200

    conversation.deleted_at = timezone.now()
    conversation.save()

    assert client.get(f"{URL}{kept.pk}/").status_code == 404


def test_a_message_names_its_picture_and_the_request_holds_it(client, ann):
    picture, text = attached(client, picture_file()), attached(client, b"notes", "notes.txt")
    message = make_message(
        make_conversation(ann, make_assistant()), content=prompts.message_content("Look", [picture, text])
    )

    whole = attached_texts.put_in([message.content])[0]

    data = base64.b64encode(bytes(picture.picture)).decode()
    assert whole[0] == {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": data}}
    assert prompts.draft_and_turn(whole) == (tuple(whole[:2]), tuple(whole[2:]))
    assert prompts.attachment_blocks([picture, text]) == tuple(whole[:2])
    assert attached_names(message) == ["notes.txt"]
    assert [(each.id, each.name, each.width, each.height) for each in attached_images(message)] == [
        (picture.pk, "ship.png", 60, 40)
    ]
    assert b"ship.png" in exports.as_json(message.conversation).content
    picture.delete()
    assert attached_texts.put_in([message.content])[0][0]["type"] == "text"


def test_a_picture_in_the_draft_makes_the_conversation_cold_and_leaves_the_shared_layer(client, ann):
    """Whether there are pictures decides what the provider finds of the messages, not of the instructions."""
    conversation = make_conversation(ann, make_assistant())
    question = make_message(conversation, content=prompts.message_content("Hello", []))
    make_message(conversation, parent=question, role="assistant", content=[{"type": "text", "text": "Hello, Ann."}])
    ready = prepared_conversations.of(conversation)
    hashes = {
        name: {each.layer: each.prefix_hash for each in build(prompt.with_key(KEY), None).prefix.breakpoints}
        for name, prompt in {
            "without": ready.prompt,
            "text": ready.with_draft(prompts.attachment_blocks([attached(client, b"notes")])),
            "picture": ready.with_draft(prompts.attachment_blocks([attached(client, picture_file())])),
        }.items()
    }

    without, text, picture = hashes["without"], hashes["text"], hashes["picture"]
    assert text["conversation"] == without["conversation"] != picture["conversation"]
    assert text["shared"] == without["shared"] == picture["shared"]
    assert "draft" in picture
