"""The recipient of messages and calls of flows, as a container beside Filas. It uses the standard library only.

It keeps what is posted to each path: `GET /received/PATH` answers `{idempotency key: [body, …]}`.
"""

import json
import sys
from collections import defaultdict
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

received: defaultdict[str, defaultdict[str, list[Any]]] = defaultdict(lambda: defaultdict(list))


class Handler(BaseHTTPRequestHandler):
    """Answers every POST as a provider that accepted it does."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers.get("Content-Length", 0))))
        received[self.path][self.headers["Idempotency-Key"]].append(body)
        self._answer({"ok": True})

    def do_GET(self) -> None:
        self._answer(received[self.path.removeprefix("/received")])

    def _answer(self, document: Any) -> None:
        body = json.dumps(document).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Writes no log: it would have thousands of lines."""


if __name__ == "__main__":
    ThreadingHTTPServer.request_queue_size = 128
    ThreadingHTTPServer(("0.0.0.0", int(sys.argv[1])), Handler).serve_forever()
