"""A socket at a path that is not ours is refused; it is not a failure of the server."""

import pytest
from channels.testing import WebsocketCommunicator

from chatapp.socket.routing import websocket_application
from tests.chatapp.sockets import HOST, ORIGIN


@pytest.mark.parametrize("path", ["/", "/ws/", "/ws/chat", "/ws/chat/more/", "/ws/other/"])
async def test_a_socket_at_another_path_is_refused_before_it_is_accepted(path):
    headers = [(b"host", HOST.encode()), (b"origin", ORIGIN.encode())]
    browser = WebsocketCommunicator(websocket_application, path, headers=headers)

    is_accepted, _ = await browser.connect(timeout=60)

    assert not is_accepted
