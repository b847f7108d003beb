"""get: fetches pages by HTTP, all at once, on a TCP/IP stack of its own.

    python3 get.py tap:t0,ip=10.97.0.2/24 http://10.97.0.1:8000/ [URL ...]

asyncio's streams over sockets of the stack; the event loop is the standard one."""

import asyncio
import sys
from urllib.parse import urlsplit

import sockeye


async def get(stack, url):
    """The status line of a page, and the length of what follows its head."""
    there = urlsplit(url)
    connection = stack.socket(pollable=True)
    connection.setblocking(False)
    await asyncio.get_running_loop().sock_connect(connection, (there.hostname, there.port or 80))
    reader, writer = await asyncio.open_connection(sock=connection)
    writer.write(f"GET {there.path or '/'} HTTP/1.0\r\nHost: {there.netloc}\r\n\r\n".encode())
    status = (await reader.readline()).decode().strip()
    while (await reader.readline()).strip():
        pass
    length = 0
    while piece := await reader.read(1 << 16):
        length += len(piece)
    writer.close()
    await writer.wait_closed()
    return f"{url}: {status}, {length} bytes"


async def main(stack, urls):
    for line in asyncio.as_completed([get(stack, url) for url in urls]):
        print(await line)


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit("usage: get.py SPECIFICATION URL...")
    try:
        with sockeye.Stack(sys.argv[1]) as stack:
            asyncio.run(main(stack, sys.argv[2:]))
    except OSError as error:
        sys.exit(f"get: {error.strerror or error}")
