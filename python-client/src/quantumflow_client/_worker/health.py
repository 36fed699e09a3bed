"""Tells, on a port, whether a worker goes on: for whoever starts another one if it does not."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_PATIENCE = 5.0
"""How many seconds who asks may take for that."""


class Health:
    """A server of one page: 200 while `look` says that the worker is alive, else 503.

    Args:
        address: Host and port; no host is every address of the machine, and port 0 any that is
            free.
        look: What there is to say, `alive` among it; called in another thread.

    Raises:
        OSError: The port is not to be had.
    """

    def __init__(self, address: tuple[str, int], look: Callable[[], Mapping[str, Any]]) -> None:
        class Page(BaseHTTPRequestHandler):
            timeout = _PATIENCE
            server_version = "quantumflow"
            sys_version = ""

            def do_GET(self) -> None:
                said = look()
                body = json.dumps(said).encode() + b"\n"
                self.send_response(200 if said["alive"] else 503)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(body)

            do_HEAD = do_GET  # noqa: N815

            def log_message(self, *_: object) -> None:
                """Say nothing: it is asked every few seconds."""

        self._server = _Server(address, Page)
        self._thread = threading.Thread(
            target=self._server.serve_forever, name="quantumflow-health", daemon=True
        )
        self._thread.start()

    @property
    def port(self) -> int:
        """The port."""
        return self._server.server_port

    def close(self) -> None:
        """Answer no more."""
        self._server.shutdown()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_: object) -> None:
        """Say nothing of who went away before the answer."""
