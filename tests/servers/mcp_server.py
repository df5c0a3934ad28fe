"""A real MCP server: the `mcp` package's own, in a thread of this process. It misbehaves on demand."""

import threading
from typing import Any, Self

from starlette.types import ASGIApp, Receive, Scope, Send

from tests.servers import PATIENCE_SECONDS
from tests.servers.ports import free_port, wait_until_listening

LOOK_UP = {
    "type": "object",
    "title": "look_upArguments",
    "properties": {"word": {"title": "Word", "type": "string"}},
    "required": ["word"],
}
"""The input of `look_up` as the package derives it, for those who list it without asking."""
DESCRIPTION = "Looks a word up."


class ToolServer:
    """Has the tools `look_up` and `add`. `requests` are the headers of everything that reached it."""

    def __init__(self) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}/mcp"
        self.calls: list[tuple[str, Any]] = []
        self.requests: list[dict[str, str]] = []
        self.answer = "Bananas are yellow."
        self.redirects_to = ""
        self.floods = False
        self.description = DESCRIPTION
        self._held = threading.Event()
        self._held.set()
        self._app: ASGIApp | None = None

    def hold(self) -> None:
        """Calls are not answered until `release`."""
        self._held.clear()

    def release(self) -> None:
        self._held.set()

    def define(self, description: str) -> None:
        """From now on it defines `look_up` otherwise."""
        self.description = description
        tools = self._mcp._tool_manager._tools  # noqa: SLF001  a server that changes its mind
        tools["look_up"].description = description

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        from starlette.responses import RedirectResponse, Response

        if scope["type"] == "http":
            self.requests.append({name.decode(): value.decode() for name, value in scope["headers"]})
            if self.redirects_to:
                await RedirectResponse(self.redirects_to, status_code=307)(scope, receive, send)
                return
            if self.floods:
                await Response(b" " * 3_000_000, media_type="application/json")(scope, receive, send)
                return
        assert self._app is not None
        await self._app(scope, receive, send)

    def __enter__(self) -> Self:
        # Late: they take longer to import than most tests to run.
        import uvicorn
        from mcp.server.mcpserver import MCPServer

        self._mcp = MCPServer("Words", log_level="CRITICAL")

        def look_up(word: str) -> str:
            self.calls.append(("look_up", word))
            self._held.wait(PATIENCE_SECONDS)
            return self.answer

        def add(left: int, right: int) -> int:
            self.calls.append(("add", (left, right)))
            return left + right

        self._mcp.add_tool(look_up, description=self.description)
        self._mcp.add_tool(add, description="Adds two numbers.")
        self._app = self._mcp.streamable_http_app(stateless_http=True, json_response=True)
        config = uvicorn.Config(self, port=self.port, log_level="critical", lifespan="on", timeout_graceful_shutdown=1)
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, name="MCP server", daemon=True)
        self._thread.start()
        wait_until_listening(self.port)
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.release()
        self._server.should_exit = True
        self._thread.join(PATIENCE_SECONDS)
