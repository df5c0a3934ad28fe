"""Real requests, from the prompt to the last event: their attempts, their waits for one another, their end."""
