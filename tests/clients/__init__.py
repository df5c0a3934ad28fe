"""Other people's clients of the Messages API against the simulator, each in an environment of its own."""
