"""A wire between the browser and the server that a test can cut."""

import socket
import struct
import threading
from contextlib import suppress
from typing import Self

RESET_ON_CLOSE = struct.pack("ii", 1, 0)
CHUNK_BYTES = 64 * 1024


class CuttingProxy:
    """Passes bytes on, both ways. `cut` resets every connection; `url` is the server's, seen through it."""

    def __init__(self, target_port: int) -> None:
        self._target_port = target_port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._ends: set[socket.socket] = set()
        self._is_open = True
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._listener.close()
        self.cut()

    def cut(self, *, stay_cut: bool = False) -> None:
        """As when the network is gone. With `stay_cut`, connections are refused until `mend`."""
        self._is_open = not stay_cut
        for end in list(self._ends):
            with suppress(OSError):
                end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
                end.shutdown(socket.SHUT_RDWR)
                end.close()
        self._ends.clear()

    def mend(self) -> None:
        self._is_open = True

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                if not self._is_open:
                    near.close()
                    continue
                far = socket.create_connection(("127.0.0.1", self._target_port))
                self._ends |= {near, far}
                for source, sink in ((near, far), (far, near)):
                    threading.Thread(target=self._pump, args=(source, sink), daemon=True).start()

    def _pump(self, source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(CHUNK_BYTES):
                sink.sendall(data)
        for end in (source, sink):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()
            self._ends.discard(end)
