"""What only a real server can show: codes and sizes as they arrive at a real client."""

import json

import aiohttp
import pytest
import websockets

from tests.servers.chat_server import ChatServer

AN_ID = "0b7e4b1c-95b3-4a6a-9d2e-0d4f7f4f9e11"


@pytest.mark.parametrize("origin", [None, "null", "http://evil.example"])
async def test_a_foreign_origin_meets_http_403(live_server_process: ChatServer, origin):
    with pytest.raises(websockets.InvalidStatus) as refused:
        await websockets.connect(live_server_process.socket_url, origin=origin)

    assert refused.value.response.status_code == 403


async def test_a_stranger_hears_4401(live_server_process: ChatServer):
    async with websockets.connect(live_server_process.socket_url, origin=live_server_process.url) as socket:
        with pytest.raises(websockets.ConnectionClosed):
            await socket.recv()

    assert socket.close_code == 4401


async def test_signing_out_closes_the_socket(live_server_process: ChatServer):
    server, ann = live_server_process, live_server_process.users["ann"]
    async with websockets.connect(
        server.socket_url, origin=server.url, additional_headers={"Cookie": ann.cookie}
    ) as socket:
        await socket.recv()
        async with aiohttp.ClientSession(headers={"Cookie": ann.cookie}) as browser:
            page = await (await browser.get(f"{server.url}/")).text()
            token = page.split('"csrf_token": "')[1].split('"')[0]
            jar = {"Cookie": f"{ann.cookie}; csrftoken={token}"}
            form = {"csrfmiddlewaretoken": token}
            answer = await browser.post(f"{server.url}/accounts/logout/", data=form, headers=jar, allow_redirects=False)
            assert answer.status == 302
        with pytest.raises(websockets.ConnectionClosed):
            while True:
                await socket.recv()

    assert socket.close_code == 4401


async def test_a_frame_too_large_is_answered_and_the_socket_lives(live_server_process: ChatServer):
    server = live_server_process
    message = {"type": "message.send", "client_message_id": AN_ID, "text": "x" * 2**20}
    cookie = {"Cookie": server.users["bob"].cookie}
    async with websockets.connect(server.socket_url, origin=server.url, additional_headers=cookie) as socket:
        await socket.recv()
        await socket.send(json.dumps(message))
        error = json.loads(await socket.recv())
        await socket.send('{"type":"ping"}')
        pong = json.loads(await socket.recv())

    assert (error["code"], error["ref"]) == ("message_too_large", AN_ID)
    assert pong == {"type": "pong"}
