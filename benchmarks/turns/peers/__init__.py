"""What others would have written: run in a virtual environment of their own, never imported by us.

Each takes `{"text": ...}` at `/ws/`, and sends `{"type": "token", "text": ...}` for each token, then
`{"type": "done"}`.
"""
