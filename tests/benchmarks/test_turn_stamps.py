"""What the load believes of a reply: every token, in order, with the upstream's own clock taken off."""

import pytest

from benchmarks.turns.stamps import ReadReply, StreamSpoiled, token, turn_of, turn_text

MS = 1_000_000


def text_of(tokens: int) -> str:
    """The request arrives at 5 ms, and a token is written each 10 ms from 15 ms on."""
    return "".join(token(index, (15 + 10 * index) * MS, 5 * MS) for index in range(tokens))


def test_the_last_message_says_what_reply_it_wants():
    body = f"{turn_text(tokens=12, rate=80)} ... {turn_text(tokens=120, rate=0)}".encode()

    assert turn_of(body) == (120, 0)
    assert turn_of(b"a title, please") is None


@pytest.mark.parametrize("size", [1, 2, 7, 1000])
def test_a_reply_may_come_in_pieces_of_any_size(size):
    reply, text = ReadReply(), text_of(30)

    for start in range(0, len(text), size):
        reply.take(text[start : start + size], 400 * MS)

    reply.require_complete(30)
    assert reply.delays_ns == [(400 - 15 - 10 * index) * MS for index in range(30)]


def test_added_time_is_what_is_left_without_the_upstreams_own():
    reply = ReadReply()

    reply.take(text_of(1), 18 * MS)

    # Sent at 2 ms, here at 18 ms, and 10 ms of that were the upstream's.
    assert reply.added_ttft_ms(2 * MS) == 6


def test_a_missing_token_spoils_the_stream():
    reply, pieces = ReadReply(), text_of(3).split()

    with pytest.raises(StreamSpoiled):
        reply.take(f"{pieces[0]} {pieces[2]} ", 50 * MS)


def test_a_token_that_comes_twice_spoils_the_stream():
    reply, pieces = ReadReply(), text_of(2).split()

    with pytest.raises(StreamSpoiled):
        reply.take(f"{pieces[0]} {pieces[1]} {pieces[1]} ", 50 * MS)


def test_words_that_the_upstream_did_not_write_spoil_the_stream():
    reply = ReadReply()

    with pytest.raises(StreamSpoiled):
        reply.take(f"Hello {text_of(1)}", 50 * MS)


@pytest.mark.parametrize("text", [text_of(2), text_of(3)[:-1], text_of(4)], ids=["short", "cut", "long"])
def test_an_end_too_early_or_too_late_is_noticed(text):
    reply = ReadReply()
    reply.take(text, 50 * MS)

    with pytest.raises(StreamSpoiled):
        reply.require_complete(3)
