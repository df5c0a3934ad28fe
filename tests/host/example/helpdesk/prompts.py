"""The only builder of a question's prompt, for warm-ups and for the real request."""

from warmcache import Prompt

HANDBOOK = "\n".join(
    f"Section {number}. A reset of device {number} takes {number} minutes: hold its button until the light turns blue,"
    " then wait for the second tone, and do not unplug it before."
    for number in range(1, 1001)
)


def handbook_prompt() -> Prompt:
    return Prompt(model="claude-sonnet-5-5", system=HANDBOOK)
