"""What warming cost and what it gained: one layer for the dashboard, the terminal and JSON.

evidence     what the ledger knows of a period, from roll-ups and the rows behind them; synchronous
figures      pure: evidence in, a `Report` out; beside it `totals`, `experiments` and `gains`
text         the same report as text, and as JSON values
"""
