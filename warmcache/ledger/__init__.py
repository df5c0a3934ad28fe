"""What was sent and what came of it: the rows, their settlement, and the writer off the hot path."""
