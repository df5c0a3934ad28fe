"""Conversations and what belongs to them: access, branches, prompts, attachments."""
