"""What is believed of the provider's cache, and who may write to it: beliefs, leases, guards, visits."""
