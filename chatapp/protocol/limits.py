"""The limits and timings of a socket, defined only here: `ready` sends them to pages, and the server enforces them."""

from chatapp.protocol import MAX_ATTACHMENTS, MAX_FRAME_BYTES, MAX_QUERY_CHARS, MAX_TEXT_CHARS

TIMINGS = {
    # Faster than a warm-up can matter, slow enough that a fast typist costs next to nothing.
    "typing_repeat_ms": 2_000,
    "typing_idle_ms": 10_000,
    # Well under the time-outs of proxies; two missed answers make a dead connection.
    "ping_interval_ms": 4_000,
    "dead_after_ms": 9_000,
    "ack_interval_ms": 250,
    # If an acknowledging page is silent for this long, the server first stops sending, then closes the socket.
    "unacked_ms": 2_000,
    "too_slow_ms": 15_000,
    # Longer than the slowest healthy handshake after a restart, when all pages reconnect at once.
    "handshake_ms": 20_000,
    # A commit takes milliseconds; after this long the person should learn that something is wrong.
    "ack_timeout_ms": 15_000,
    # How long a page offers to undo a deletion: long enough to read it and to reach the button.
    "undo_ms": 20_000,
}

LIMITS = {
    "frame_bytes": MAX_FRAME_BYTES,
    "text_chars": MAX_TEXT_CHARS,
    "attachments": MAX_ATTACHMENTS,
    "ack_bytes": 32 * 1024,
    "window_bytes": 256 * 1024,
    "frame_burst": 1_000,
    "frames_per_second": 100,
    # On the wire: with control frames and fragments, of which no frame of ours may come.
    "wire_frame_burst": 2_000,
    "wire_frames_per_second": 200,
    # Forms and uploads over HTTP, of one person and of one address, which many people may share.
    "post_burst": 120,
    "posts_per_second": 1,
    "address_post_burst": 600,
    "address_posts_per_second": 10,
    # Pages behind shared links, for one address.
    "shared_page_burst": 60,
    "shared_pages_per_second": 1,
    "command_burst": 100,
    "commands_per_second": 5,
    "typing_burst": 5,
    "typing_per_second": 1,
    "ack_burst": 100,
    "acks_per_second": 20,
    "open_conversations": 16,
    # Per conversation: enough to think ahead, too few to flood a provider by mistake.
    "queued_messages": 5,
    # Prompts whose warmth one socket reports.
    "followed_prompts": 32,
    "title_chars": 60,
    "query_chars": MAX_QUERY_CHARS,
    "pinned_conversations": 50,
    "shared_links": 50,
    # A longer text that is pasted becomes a file.
    "paste_chars": 10_000,
}

WINDOW_BYTES = LIMITS["window_bytes"]
ACK_BYTES = LIMITS["ack_bytes"]
LATE_SECONDS = TIMINGS["unacked_ms"] / 1000
TOO_SLOW_SECONDS = TIMINGS["too_slow_ms"] / 1000
HANDSHAKE_SECONDS = TIMINGS["handshake_ms"] / 1000

CONNECTION_BYTES = 2 * 1024 * 1024
"""A larger message breaks the connection. It is well above `frame_bytes`, beyond which a frame gets an `error`."""

WAITING_CHARACTERS = MAX_FRAME_BYTES
WAITING_MESSAGES = 32
"""Messages of one connection that its socket has not read yet; beyond this the server stops reading from it."""

STRIKES_TO_CLOSE = 500
"""The number of bad or excess frames after which a socket is closed as abusive."""

WAITING_FRAMES = 256
WAITING_HINTS = 128
"""Frames of one socket that may wait for the work of earlier ones; hints leave room for commands."""

WAITING_EVENTS = 512
"""Events for one socket that may wait as well; a socket with more has fallen too far behind."""
