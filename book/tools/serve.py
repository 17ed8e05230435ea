"""Serve a built site on this machine only, on a free port, and print the address."""

import functools
import sys
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


class Handler(SimpleHTTPRequestHandler):
    """Serves a folder, and its 404.html where there is nothing, as GitHub Pages does; prints nothing."""

    def log_message(self, *arguments: object) -> None:
        """Keep the terminal clean."""

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Answer with the site's own page."""
        body = Path(self.directory, "404.html").read_bytes()
        self.send_response(code)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


class Server(ThreadingHTTPServer):
    """Serves one folder on loopback, on a port that is free."""

    def __init__(self, folder: Path) -> None:
        super().__init__(("127.0.0.1", 0), functools.partial(Handler, directory=str(folder)))

    def handle_error(self, *arguments: object) -> None:
        """A reader who leaves before a page has arrived is no error."""


def main(folder: Path) -> None:
    """Serve `folder` until Ctrl-C."""
    if not (folder / "index.html").exists():
        raise SystemExit(f"{folder} holds no site yet: run `make book` first")
    with Server(folder) as server:
        print(f"http://127.0.0.1:{server.server_port}/   (Ctrl-C ends it)", flush=True)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            print()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
