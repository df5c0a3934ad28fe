"""When the chat asks warmcache to warm: typing, returns, shared layers, edits of an assistant."""
