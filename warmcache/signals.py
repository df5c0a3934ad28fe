"""Signals for the host's own metrics. Errors of receivers are logged, and cost neither a row nor a request.

`settled`: a warm-up has an outcome, or another one than before. Sent after the commit, in a database thread, by the
process that wrote it. Arguments: `warm_up_id`, `outcome`, `label`, `intent`.

`billed`: the provider has answered a warm-up. Sent on the event loop. Arguments: `warm_up_id`, `label`, `intent`,
`cost_usd` (a `Decimal`, or None if the price is not known).

`skipped`: warming was considered and skipped. Sent on the event loop, at every key where it comes to that: a receiver
returns at once. Arguments: `label`, `intent`, `reason`.
"""

from django.dispatch import Signal

settled = Signal()
billed = Signal()
skipped = Signal()
