"""Replies: sent, run, logged, resumed, taken over and stopped; and the messages that wait for them."""
