"""A real OpenID Connect provider: `oidc-provider-mock`, in a process of its own."""

import subprocess
import sys
from typing import Any, Self
from urllib.parse import quote

import requests

from tests.servers import PATIENCE_SECONDS
from tests.servers.ports import free_port, wait_until_listening


class OidcProvider:
    """Everybody may have an account there, and signs in with a name alone."""

    def __init__(self) -> None:
        self.port = free_port()
        self.issuer = f"http://127.0.0.1:{self.port}"

    def knows(self, subject: str, **claims: Any) -> None:
        """What it says of a person."""
        answer = requests.put(f"{self.issuer}/users/{quote(subject)}", json=claims, timeout=PATIENCE_SECONDS)
        answer.raise_for_status()

    def signs_in(self, address: str, subject: str) -> str:
        """The person agrees on its page. Returns where their browser is sent."""
        return self._answer(address, {"sub": subject})

    def declines(self, address: str) -> str:
        return self._answer(address, {"action": "deny"})

    def _answer(self, address: str, fields: dict[str, str]) -> str:
        answer = requests.post(address, data=fields, allow_redirects=False, timeout=PATIENCE_SECONDS)
        assert answer.status_code == 302, answer.text
        return answer.headers["Location"]

    def __enter__(self) -> Self:
        # Its library warns of its own future.
        command = (sys.executable, "-W", "ignore", "-m", "oidc_provider_mock", "--port", str(self.port))
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_until_listening(self.port)
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._process.terminate()
        self._process.wait(PATIENCE_SECONDS)
