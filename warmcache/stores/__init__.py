"""Implementations of the `WarmthStore` port, one module each.

How to add one: write a class with the port's methods and `from_config` in `stores/<name>.py`; set its dotted path in
`WARMCACHE["STORE"]`; add a fixture in `tests/warmcache/contracts/`, so that the contract suite tests it.
"""
