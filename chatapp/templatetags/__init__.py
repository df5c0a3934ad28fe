"""Template tags of the chat's pages."""
