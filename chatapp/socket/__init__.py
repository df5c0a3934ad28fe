"""The WebSocket: who may open one, the frames in and out, and how many of them."""
