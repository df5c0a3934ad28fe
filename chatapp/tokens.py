"""How the tokens of links are stored."""

import hashlib


def hash_of(token: str) -> str:
    """Plain SHA-256: the token is random and long, so there is nothing to guess."""
    return hashlib.sha256(token.encode("utf-8", "replace")).hexdigest()
