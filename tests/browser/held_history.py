"""Earlier messages that arrive when a test lets them in, so that it can look at the page before and after."""

from playwright.sync_api import WebSocketRoute

from tests.browser.chat_page import ChatPage


class HeldHistory:
    """Holds each `history.page` of a page, which it loads again; all other frames pass."""

    def __init__(self, chat: ChatPage) -> None:
        self._chat = chat
        self._held: list[tuple[WebSocketRoute, str | bytes]] = []
        chat.page.route_web_socket("**/ws/chat/", self._connect)
        chat.page.reload()
        chat.wait_until_ready()

    def let_one_in(self) -> None:
        """Waits for one and hands it to the page."""
        self._chat.wait_until(lambda: self._held, "earlier messages have come")
        socket, frame = self._held.pop(0)
        socket.send(frame)

    def _connect(self, socket: WebSocketRoute) -> None:
        server = socket.connect_to_server()

        def take(frame: str | bytes) -> None:
            if '"type":"history.page"' in str(frame):
                self._held.append((socket, frame))
            else:
                socket.send(frame)

        server.on_message(take)
