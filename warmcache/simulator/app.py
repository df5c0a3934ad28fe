"""The Messages API over HTTP, on top of the pure engine.

    POST /v1/messages                  JSON, or server-sent events with `stream: true`
    POST /v1/messages/count_tokens
    GET  /v1/models, /v1/models/{id}
    /simulator/...                     the control endpoints of `control.py`, on loopback only

A key comes as `x-api-key` or `Authorization: Bearer`. Any key is valid unless it is `invalid` or starts with
`sk-invalid`, or unless keys were given at the start. Each key is its own workspace, so keys do not share caches;
the header `anthropic-workspace-id` names a workspace explicitly. Every response carries
`x-simulator: warmcache`, and a message also `x-simulated-ttft-ms`: its simulated time to the first visible token
(for `max_tokens: 0`, to the whole answer).
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from aiohttp import web

from warmcache.simulator.control import add_control_routes
from warmcache.simulator.delivery import EXCHANGE, ConnectionCutError
from warmcache.simulator.errors import ApiError
from warmcache.simulator.provider import MAX_BODY_BYTES, Simulator, new_id

ORGANIZATION_ID = "org-simulator"
_log = logging.getLogger(__name__)
_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def create_app(simulator: Simulator) -> web.Application:
    """The HTTP application. Run it with `handler_cancellation=True`, so that a client's hang-up stops its stream."""
    app = web.Application(client_max_size=MAX_BODY_BYTES, middlewares=[_answer_errors])
    app.on_response_prepare.append(_add_headers)
    app.router.add_post("/v1/messages", simulator.create_message)
    app.router.add_post("/v1/messages/count_tokens", simulator.count_tokens)
    app.router.add_get("/v1/models", simulator.list_models)
    app.router.add_get("/v1/models/{model}", simulator.get_model)
    add_control_routes(app, simulator)
    return app


@web.middleware
async def _answer_errors(request: web.Request, handler: _Handler) -> web.StreamResponse:
    """Turns every failure into an error response of the API."""
    try:
        return await handler(request)
    except ApiError as error:
        return _error_response(request, error)
    except ConnectionCutError:
        # The client is gone; aiohttp only needs a response to discard.
        return web.Response(status=500)
    except web.HTTPRequestEntityTooLarge:
        return _error_response(request, ApiError(413, "Request exceeds the maximum size"))
    except web.HTTPException as error:
        status = 404 if error.status == 404 else 400
        return _error_response(request, ApiError(status, error.reason or "Not found"), error.status)
    except (asyncio.CancelledError, ConnectionResetError):
        raise
    except Exception:
        _log.exception("the simulator failed on %s %s", request.method, request.path)
        return _error_response(request, ApiError(500, "Internal server error"))


def _error_response(request: web.Request, error: ApiError, status: int | None = None) -> web.Response:
    exchange = request.get(EXCHANGE)
    body = error.body(exchange.request_id if exchange else f"req_{new_id()}")
    if exchange is not None:
        exchange.status = error.status
        exchange.error = body["error"]
    return web.json_response(body, status=status or error.status, headers=error.headers)


async def _add_headers(request: web.Request, response: web.StreamResponse) -> None:
    response.headers["x-simulator"] = "warmcache"
    exchange = request.get(EXCHANGE)
    if exchange is not None:
        response.headers["request-id"] = exchange.request_id
        response.headers["anthropic-organization-id"] = ORGANIZATION_ID
        response.headers["anthropic-workspace-id"] = exchange.workspace_id
