"""Replay of recorded traffic against the simulated prompt cache. Pure: the caller passes files and rates."""
