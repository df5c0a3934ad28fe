"""The peers: servers that others would have written. They run in their own virtual environment; we never import them.

Each takes `{"text": ...}` at `/ws/`, and sends `{"type": "token", "text": ...}` for each token, then
`{"type": "done"}`.
"""
