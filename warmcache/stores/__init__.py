"""Implementations of the `WarmthStore` port, one module each.

How to add one: a class with the port's methods in `stores/<name>.py`, built with `clock=`; its dotted path in
`WARMCACHE["STORE"]`; a fixture in `tests/warmcache/contracts/`, so that the contract suite runs over it.
"""
