"""What stands behind the question mark of an address, made fit for a database."""

from django.http import QueryDict


def without_nul(query: QueryDict) -> QueryDict:
    """PostgreSQL refuses texts with a NUL, which nothing in the ledger holds either."""
    if not any("\0" in value for _, values in query.lists() for value in values):
        return query
    clean = query.copy()
    for name, values in query.lists():
        clean.setlist(name, [value.replace("\0", "") for value in values])
    return clean
