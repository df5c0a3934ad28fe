"""Benchmarks of speed and cost. Each one compares within one run and prints its figures; none of them is a test."""
