"""What a first start shows: four assistants and a user who may see everything."""
