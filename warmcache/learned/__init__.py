"""What was learned of people and models: forecasts in memory, and the rows that processes share."""
