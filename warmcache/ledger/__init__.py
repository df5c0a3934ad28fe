"""What was sent and how it ended: the rows, their settlement, and the writer off the hot path."""
