"""Serve a built site on this machine only, on a free port, and print the address."""

import functools
import sys
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


class Quiet(SimpleHTTPRequestHandler):
    """A handler that keeps the terminal clean and knows JavaScript modules."""

    extensions_map = {**SimpleHTTPRequestHandler.extensions_map, ".mjs": "text/javascript", ".wasm": "application/wasm"}  # noqa: RUF012

    def log_message(self, *arguments: object) -> None:
        """Print nothing."""


def main(folder: Path) -> None:
    """Serve `folder` until Ctrl-C."""
    if not (folder / "index.html").exists():
        raise SystemExit(f"{folder} holds no site yet: run `make book` first")
    with ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=folder)) as server:
        print(f"http://127.0.0.1:{server.server_port}/   (Ctrl-C ends it)", flush=True)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            print()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
