"""web: serves a folder by HTTP, on a TCP/IP stack of its own.

    python3 web.py tap:t0,ip=10.97.0.2/24 [FOLDER]

The standard library's request handler, on sockets that are not the kernel's."""

import functools
import http.server
import sys
import threading

import sockeye


def serve(connection, peer, handler):
    with connection:
        try:
            handler(connection, peer, None)
        except OSError as error:  # the peer's business
            print(f"{peer[0]}: {error}", file=sys.stderr)


def main():
    if not 2 <= len(sys.argv) <= 3:
        sys.exit("usage: web.py SPECIFICATION [FOLDER]")
    folder = sys.argv[2] if len(sys.argv) == 3 else "."
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=folder)
    try:
        stack = sockeye.Stack(sys.argv[1])
    except sockeye.ConfigurationError as error:
        sys.exit(f"web: {error.strerror}")
    with stack, stack.create_server(("", 80)) as listener:
        while True:
            threading.Thread(target=serve, args=(*listener.accept(), handler), daemon=True).start()


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        pass
