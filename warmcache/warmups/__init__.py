"""Warm-ups: why one is sent, how, and what holds or renews what it wrote."""
