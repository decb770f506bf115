"""Answers every request and notes that it was asked to stop; unlike the API it takes no second to import."""

import signal
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

port, notes = int(sys.argv[1]), Path(sys.argv[2])


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, format: str, *args: object) -> None: ...


def stop(number: int, frame: object) -> None:
    with notes.open("a") as file:
        file.write("api drained\n")
    raise SystemExit(0)


signal.signal(signal.SIGTERM, stop)
print('{"level": "warning", "event": "a warning of the api"}', flush=True)
print('{"level": "info", "event": "chatter of the api"}', flush=True)
ThreadingHTTPServer(("127.0.0.1", port), Handler).serve_forever()
