"""The names of models at other clouds, as the one name by which facts and prices are known."""

import re

_BEFORE = re.compile(r"^(?:arn:aws[^/]*/)?(?:[a-z-]+\.)*anthropic\.|^(?:.*/)?models/|^anthropic/")
"""`us.anthropic.` of Bedrock, `.../models/` of Google Cloud, `anthropic/` of gateways."""
_AFTER = re.compile(r"(?:-v\d+(?::\d+)?)?(?::\w+)?$")
_DATE = re.compile(r"[-@]20\d{6}$")


def known_names(model: str) -> tuple[str, ...]:
    """The names to look up, in order: as it is, without a cloud's additions, and without the date of a snapshot."""
    bare = _AFTER.sub("", _BEFORE.sub("", model, count=1), count=1).replace("@", "-")
    return tuple(dict.fromkeys((model, bare, _DATE.sub("", bare))))
