"""The WebSocket: who may open one, what comes in, what goes out, and how much of it."""
