"""What one event loop owns: its state, and the wiring that builds, finds and closes it."""
