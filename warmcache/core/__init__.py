"""Pure rules and facts: no framework, no network, no access to the clock."""
