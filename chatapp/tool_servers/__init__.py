"""MCP servers that the operator lists: where they may be, what they say of their tools, and calls of them."""
