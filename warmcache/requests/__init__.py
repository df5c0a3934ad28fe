"""Real requests, from the prompt to the last event: their tries, their waits for one another, their end."""
