"""The provider's side: the Messages API, its prices, its answers so far, a simulator to run beside it."""
