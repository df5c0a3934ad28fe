"""Replies: send, run, log, resume, take over and stop them; and the queue of messages that wait for them."""
