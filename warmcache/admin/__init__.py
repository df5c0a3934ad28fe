"""The operator's admin pages: one module per group of tables."""

from warmcache.admin import ledger, policy  # noqa: F401  they register themselves
