"""Implementations of the `WarmthStore` port, one module each.

How to add one: a class with the port's methods and `from_config` in `stores/<name>.py`; its dotted path in
`WARMCACHE["STORE"]`; a fixture in `tests/warmcache/contracts/`, so that the contract suite runs over it.
"""
