"""Small real servers on 127.0.0.1 that are gone when their `with` block ends."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from labkit.loopback.programs import free_port

Answer = tuple[int, dict[str, str], bytes]          # status, headers, body
App = Callable[[BaseHTTPRequestHandler, bytes], Answer]


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that left before the answer is what these lessons are about, not worth a traceback."""


@contextlib.contextmanager
def serve(app: App, idle: float | None = None) -> Iterator[str]:
    """Serve `app(request, body)` on a free port; yields the URL. idle: s until a quiet connection is closed."""
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = idle

        def do(self) -> None:
            status, headers, body = app(self, self.rfile.read(int(self.headers.get("Content-Length") or 0)))
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = do_PUT = do

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = _Server(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextlib.contextmanager
def program(command: Callable[[int, Path], list[str]], patience: float = 10.0) -> Iterator[int]:
    """Run `command(port, folder)` until the block ends; yields the port once somebody listens there.

    Raises RuntimeError if the program ends or nobody listens within `patience` seconds.
    """
    with tempfile.TemporaryDirectory(prefix="labkit-demo-") as folder:
        port = free_port()
        process = subprocess.Popen(command(port, Path(folder)), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                   stderr=subprocess.DEVNULL)
        try:
            deadline = time.monotonic() + patience
            while True:
                with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                    break
                if process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError(f"{process.args!r} did not start listening")
                time.sleep(0.02)
            yield port
        finally:
            process.terminate()
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
