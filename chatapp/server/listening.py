"""Opens the listening socket before anything slow, so that a port in use is reported at once."""

import errno
import socket

BACKLOG = 512


class ListenError(Exception):
    """Why the address cannot be listened on, in one sentence."""


def listen(host: str, port: int) -> socket.socket:
    """A listening socket: from now on the system queues connections until the server accepts them."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host.strip("[]"), port))
        listener.listen(BACKLOG)
    except OverflowError:
        listener.close()
        raise ListenError(f"{port} is no port: use a number from 0 to 65535.") from None
    except OSError as error:
        listener.close()
        raise ListenError(_why_not(host, port, error)) from None
    listener.setblocking(False)
    return listener


def _why_not(host: str, port: int, error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"Port {port} is taken by another program: stop it, or choose another, as in `make run PORT={port + 1}`."
    if error.errno == errno.EACCES:
        return f"Port {port} is not yours to use: choose one above 1023, as in `make run PORT=8000`."
    return f"Cannot listen on {host}:{port} ({error.strerror or error})."


def url_of(listener: socket.socket) -> str:
    """The URL for a browser on this machine, without a trailing slash."""
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
