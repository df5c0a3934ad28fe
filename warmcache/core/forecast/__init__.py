"""What is learned from what happened, as numbers that merge: signs, silences, shares, speed."""
