"""The operator's pages: one module for each group of tables."""

from warmcache.admin import ledger, policy  # noqa: F401  they register themselves
