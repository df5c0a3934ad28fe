"""The tools that this chat runs when a model calls them."""
