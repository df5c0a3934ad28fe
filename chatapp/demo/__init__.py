"""What a first start shows: three assistants and a user who may see everything."""
