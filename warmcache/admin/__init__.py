"""The operator's admin pages: one module per group of tables, and the dashboard above them."""

from warmcache.admin import dashboard, learned, ledger, policy  # noqa: F401  they register themselves
