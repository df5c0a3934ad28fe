"""What is fast, measured: each benchmark compares within one run and prints its figures. Nothing here is a test."""
