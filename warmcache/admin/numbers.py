"""What each figure of the operator's pages is, and what it is not. `docs/console.md` says the same; a test holds it."""

MEANINGS = (
    (
        "In all",
        "every real request and every warm-up of the period, titles included, at the prices of its day",
        "what your invoice says: rows without a known price are counted beside it",
    ),
    ("Replies", "replies and the requests that continue them, output included", "titles and compactions"),
    (
        "Warm-ups that were used, wasted",
        "their dollars, layer by layer: a request read the layer, or none did in time",
        "what they saved: a layer that is read spares the reply's own write",
    ),
    (
        "Read from the cache",
        "tokens read, of all prompt tokens: read, written and neither",
        "a share of requests",
    ),
    (
        "Seconds saved",
        "with a hold-out of 30 visits on each side: measured, per reply times replies. Otherwise what the policy's "
        "model believed of replies that read a warm-up",
        "seconds of layers that were kept warm without a person's sign before them",
    ),
    (
        "Dollars for each second",
        "warm-ups that nobody read, and reading the others, for one saved second; beside your price",
        "comparable between a simulator and the real API: they are never added",
    ),
    (
        "Time to the first text",
        "on the server, from the call to the first text, a join included. Waits are counted in buckets at most 5 % "
        "wide",
        "the wait in the browser, which a request's own page shows",
    ),
    (
        "Over time",
        "the same dollars and rows as above, by the hour or by the day; one in which nothing happened is zero",
        "by when something ended: a row belongs to the hour or day in which it began",
    ),
    (
        "Why visits were not warmed",
        "how often a visit was weighed and left cold, by the reason",
        "divided by who answers: nothing was asked of an upstream",
    ),
    (
        "Previews in the warm policy",
        "requests of the last 7 days, the layer's newest size, silences as they were learned, today's prices: on top "
        "of plain reads",
        "a promise: who would have come at another time is not known, and what nothing has warmed yet has no size",
    ),
    (
        "What was learned",
        "chances, leads, silences, speeds and sizes as the next decision will believe them, beside what was assumed",
        "a count of rows: older observations fade, so a sample is smaller than what was seen",
    ),
)
NOTES = (
    (
        "Periods.",
        "Up to two days begin with a whole hour, longer ones with a whole UTC day. The period before is as long as the "
        "chosen one. Hours are added up two hours after their end; what is newer is read from the rows themselves.",
    ),
    (
        "Intervals",
        "cover 95 %. Of the model they say how much replies differ, not whether the model is right: a hold-out tells.",
    ),
)
