"""Pure rules and facts: no framework, no network, no clock of their own."""
