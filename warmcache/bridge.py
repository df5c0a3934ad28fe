"""The async API for Django's synchronous views, admin actions and commands, on any kind of server.

warmth = bridge.call(services.warm_now, prompt, label="helpdesk")
"""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, ParamSpec, TypeVar

from warmcache import sync
from warmcache.runtime.home import home_loop

P = ParamSpec("P")
T = TypeVar("T")


def call(function: Callable[P, Coroutine[Any, Any, T]], *args: P.args, **kwargs: P.kwargs) -> T:
    """The result of an async function, which runs on the event loop of this process's runtime.

    That is the event loop that an async server has adopted, otherwise the one of `warmcache.sync`. It is not the loop
    that Django makes for a synchronous request under an async middleware: that one ends with the request. Raises
    `RuntimeError` in an event loop's own thread, which would wait for itself.
    """
    sync.refuse_in_event_loop()
    return asyncio.run_coroutine_threadsafe(function(*args, **kwargs), home_loop()).result()
