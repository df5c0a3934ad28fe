"""Signals for the host's own metrics. Errors of receivers are logged, and cost neither a row nor a request.

`settled`: a warm-up has an outcome, or another one than before. Sent after the commit, in a database thread, by the
process that wrote it. Arguments: `warm_up_id`, `outcome`.

`skipped`: warming was considered and skipped. Sent on the event loop, at every key where it comes to that: a receiver
returns at once. Arguments: `label`, `intent`, `reason`.
"""

from django.dispatch import Signal

settled = Signal()
skipped = Signal()
