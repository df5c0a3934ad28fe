"""What each figure of the operator's pages is, and what it is not. `docs/console.md` says the same; a test holds it."""

from django.utils.translation import gettext_noop

MEANINGS = (
    (
        gettext_noop("In all"),
        gettext_noop("every real request and every warm-up of the period, titles included, at the prices of its day"),
        gettext_noop("what your invoice says: rows without a known price are counted beside it"),
    ),
    (
        gettext_noop("Replies"),
        gettext_noop("replies and the requests that continue them, output included"),
        gettext_noop("titles and compactions"),
    ),
    (
        gettext_noop("Warm-ups that were used, wasted"),
        gettext_noop("their dollars, layer by layer: a request read the layer, or none did in time"),
        gettext_noop("what they saved: a layer that is read spares the reply's own write"),
    ),
    (
        gettext_noop("Read from the cache"),
        gettext_noop("tokens read, of all prompt tokens: read, written and neither"),
        gettext_noop("a share of requests"),
    ),
    (
        gettext_noop("Seconds saved"),
        gettext_noop(
            "with a hold-out of 30 visits on each side: measured, per reply times replies. Otherwise what the policy's "
            "model believed of replies that read a warm-up"
        ),
        gettext_noop("seconds of layers that were kept warm without a person's sign before them"),
    ),
    (
        gettext_noop("Dollars for each second"),
        gettext_noop("warm-ups that nobody read, and reading the others, for one saved second; beside your price"),
        gettext_noop("comparable between a simulator and the real API: they are never added"),
    ),
    (
        gettext_noop("Time to the first text"),
        gettext_noop(
            "on the server, from the call to the first text, a join included. Waits are counted in buckets at most 5 % "
            "wide"
        ),
        gettext_noop("the wait in the browser, which a request's own page shows"),
    ),
    (
        gettext_noop("Over time"),
        gettext_noop(
            "the same dollars and rows as above, by the hour or by the day; one in which nothing happened is zero"
        ),
        gettext_noop("by when something ended: a row belongs to the hour or day in which it began"),
    ),
    (
        gettext_noop("Why visits were not warmed"),
        gettext_noop("how often a visit was weighed and left cold, by the reason"),
        gettext_noop("divided by who answers: nothing was asked of an upstream"),
    ),
    (
        gettext_noop("Previews in the warm policy"),
        gettext_noop(
            "requests of the last 7 days, the layer's newest size, silences as they were learned, today's prices: on "
            "top of plain reads"
        ),
        gettext_noop(
            "a promise: who would have come at another time is not known, and what nothing has warmed yet has no size"
        ),
    ),
    (
        gettext_noop("What was learned"),
        gettext_noop(
            "chances, leads, silences, speeds and sizes as the next decision will believe them, beside what was assumed"
        ),
        gettext_noop("a count of rows: older observations fade, so a sample is smaller than what was seen"),
    ),
)
NOTES = (
    (
        gettext_noop("Periods."),
        gettext_noop(
            "Up to two days begin with a whole hour, longer ones with a whole UTC day. The period before is as long as "
            "the chosen one. Hours are added up two hours after their end; what is newer is read from the rows "
            "themselves."
        ),
    ),
    (
        gettext_noop("Intervals"),
        gettext_noop(
            "cover 95 %. Of the model they say how much replies differ, not whether the model is right: a hold-out "
            "tells."
        ),
    ),
)
