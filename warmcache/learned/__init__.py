"""What was learned about people and models: forecasts in memory, and the rows that processes share."""
