"""The provider's side: the Messages API, its prices, its previous answers, a simulator as a child process."""
