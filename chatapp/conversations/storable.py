"""What the chat can store of a text that came from outside."""


def storable(text: str) -> str:
    """What no database and no frame can carry, NUL and lone surrogates, becomes the replacement character."""
    return text.replace("\0", "\ufffd").encode("utf-16", "surrogatepass").decode("utf-16", "replace")
