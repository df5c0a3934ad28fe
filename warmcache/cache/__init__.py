"""What we believe about the provider's cache, and who may write to it: beliefs, leases, guards, visits."""
