"""Warm-ups: why one is sent, how, and what holds or renews the entries that it wrote."""
