"""chat: a chat server with asyncio, on a TCP/IP stack of its own.

    python3 chat.py tap:t0,ip=10.97.0.2/24 [PORT]

The event loop is the standard one. It waits for sockets of the stack because they are pollable; what it accepts is, too."""

import asyncio
import sys

import sockeye

everybody = set()


async def serve(reader, writer):
    """Says to all others what one says."""
    name = "{}:{}".format(*writer.get_extra_info("peername")[:2])
    everybody.add(writer)
    try:
        async for line in reader:
            for other in everybody - {writer}:
                other.write(name.encode() + b": " + line)
    except ConnectionError:
        pass
    finally:
        everybody.discard(writer)
        writer.close()


async def main(stack, port):
    listener = stack.create_server(("", port), pollable=True)
    async with await asyncio.start_server(serve, sock=listener) as server:
        await server.serve_forever()


if __name__ == "__main__":
    if not 2 <= len(sys.argv) <= 3:
        sys.exit("usage: chat.py SPECIFICATION [PORT]")
    try:
        with sockeye.Stack(sys.argv[1]) as stack:
            asyncio.run(main(stack, int(sys.argv[2]) if len(sys.argv) == 3 else 7000))
    except sockeye.ConfigurationError as error:
        sys.exit(f"chat: {error.strerror}")
    except KeyboardInterrupt:
        pass
