"""Two Redis servers behind one address: a failover swaps them, and the old primary keeps its clients."""

from typing import Self

import redis

from tests.servers.fault_proxy import FaultProxy
from tests.servers.redis_server import RedisServer


class RedisPair:
    """`url` leads to the primary, for who connects."""

    def __init__(self) -> None:
        self.old, self.new = RedisServer(), RedisServer()
        self._proxy = FaultProxy(0)

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self._proxy.port}/0"

    def fail_over(self) -> None:
        """The new primary follows nobody, the old one follows it; no connection is cut."""
        self.new.follow(None)
        self.old.follow(self.new)
        self._proxy.retarget(self.new.port)

    def clients_of_old(self) -> int:
        """Connections that the old primary still has, without replicas and without this question."""
        with redis.Redis.from_url(self.old.url) as client:
            return len([each for each in client.client_list(_type="normal") if each["cmd"] != "client"]) + len(
                client.client_list(_type="pubsub")
            )

    def __enter__(self) -> Self:
        self.old.start()
        self.new.start()
        self._proxy.retarget(self.old.port)
        self._proxy.__enter__()
        return self

    def __exit__(self, *exc: object) -> None:
        self._proxy.__exit__(*exc)
        for server in (self.new, self.old):
            server.__exit__(*exc)
