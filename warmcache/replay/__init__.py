"""Recorded traffic against the simulated prompt cache, policy by policy. Pure: files and rates come from outside."""
