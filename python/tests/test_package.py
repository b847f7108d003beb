"""What is ours alone: stacks and their errors, waiting for both kinds of descriptors, asyncio, the wheel, and the kernel
as a peer over a TAP (root)."""

import asyncio
import errno
import gc
import os
import select
import selectors
import shutil
import signal
import socket as standard
import subprocess
import sys
import tempfile
import threading
import time
import unittest
from pathlib import Path

import sockeye
from sockeye import _library

PYTHON = Path(__file__).resolve().parents[1]


def run(script, **options):
    """A Python program of its own, with this package."""
    environment = {**os.environ, "PYTHONPATH": str(PYTHON), "SOCKEYE_LIBRARY": _library.path(), **options.pop("env", {})}
    return subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, env=environment, **options
    )


class Stacks(unittest.TestCase):
    def test_the_version_is_cargos(self):
        text = (PYTHON.parent / "Cargo.toml").read_text()
        self.assertIn(f'version = "{sockeye.version()}"', text)

    def test_a_wrong_specification_says_what_is_wrong(self):
        with self.assertRaises(sockeye.ConfigurationError) as raised:
            sockeye.Stack("null:,color=red")
        self.assertIsInstance(raised.exception, OSError)
        self.assertEqual(raised.exception.errno, errno.EINVAL)
        self.assertIn("color", raised.exception.strerror)

    def test_a_closed_stack_makes_no_sockets_and_closes_those_it_has(self):
        stack = sockeye.Stack("null:")
        made = stack.socket()
        self.assertIs(made.stack, stack)
        stack.close()
        stack.close()
        self.assertTrue(stack.closed)
        with self.assertRaisesRegex(OSError, "closed"):
            stack.socket()
        with self.assertRaises(OSError) as raised:
            made.connect(("127.0.0.1", 80))
        self.assertEqual(raised.exception.errno, errno.ENETDOWN)
        made.close()

    def test_a_stack_is_closed_within_a_time(self):
        sockeye.Stack("null:").close(timeout=1)
        stack = sockeye.Stack("null:")
        self.assertRaises(ValueError, stack.close, timeout=-1)
        stack.close(timeout=0)

    def test_a_socket_keeps_its_stack_alive(self):
        with sockeye.Stack("null:").socket() as made:
            gc.collect()
            made.bind(("127.0.0.1", 0))
            made.listen()
            made.stack.close()

    def test_stacks_are_apart(self):
        with sockeye.Stack("null:") as one, sockeye.Stack("null:") as other:
            with one.create_server(("127.0.0.1", 80)), self.assertRaises(ConnectionRefusedError):
                other.create_connection(("127.0.0.1", 80), 10)

    def test_names_are_not_asked_of_the_kernels_network(self):
        with sockeye.Stack("null:") as stack, stack.socket() as made:
            with self.assertRaisesRegex(standard.gaierror, "names are not resolved"):
                made.connect(("example.org", 80))

    def test_the_default_stack_is_the_environments(self):
        script = "import sockeye; s = sockeye.socket(); s.bind(('127.0.0.1', 0)); print(s.stack, s.getsockname()[0]); s.close()"
        done = run(script, env={"SOCKEYE_NET": "null:"})
        self.assertEqual((done.stdout, done.stderr), ("None 127.0.0.1\n", ""))

    def test_no_default_stack_is_a_configuration_error(self):
        script = "import sockeye\ntry: sockeye.socket()\nexcept sockeye.ConfigurationError as e: print(e.errno, e.strerror)"
        done = run(script, env={"SOCKEYE_NET": "tap:"})
        self.assertEqual(done.stderr, "")
        self.assertRegex(done.stdout, f"^{errno.ENETDOWN} .*tap:")

    def test_a_missing_library_says_the_cure(self):
        done = run("import sockeye", env={"SOCKEYE_LIBRARY": "/nowhere/libsockeye.so"})
        self.assertRegex(done.stderr, "ImportError: the Sockeye library '/nowhere/libsockeye.so' cannot be used: .*make")

    def test_other_threads_run_while_a_call_waits(self):
        with sockeye.Stack("null:") as stack, stack.create_server(("127.0.0.1", 0)) as listener:
            got = []
            waiting = threading.Thread(target=lambda: got.append(listener.accept()[0]))
            waiting.start()
            time.sleep(0.05)
            stack.create_connection(listener.getsockname(), 10).close()
            waiting.join(10)
            self.assertEqual(got[0].recv(1), b"")
            got[0].close()


class Waiting(unittest.TestCase):
    def setUp(self):
        self.stack = self.enterContext(sockeye.Stack("null:")) if hasattr(self, "enterContext") else sockeye.Stack("null:")
        self.addCleanup(self.stack.close)
        with self.stack.create_server(("127.0.0.1", 0)) as listener:
            self.ours = self.stack.create_connection(listener.getsockname())
            self.peer, _ = listener.accept()
        self.theirs, self.their_peer = standard.socketpair()
        for made in (self.ours, self.peer, self.theirs, self.their_peer):
            self.addCleanup(made.close)

    def test_poll_takes_both_kinds(self):
        poller = sockeye.poll()
        poller.register(self.ours, select.POLLIN)
        poller.register(self.theirs, select.POLLIN)
        self.assertEqual(poller.poll(0), [])
        self.peer.send(b"x")
        self.assertEqual(poller.poll(), [(self.ours.fileno(), select.POLLIN)])
        self.their_peer.send(b"x")
        self.assertEqual(len(poller.poll(1000)), 2)
        poller.modify(self.ours, select.POLLOUT)
        poller.unregister(self.theirs)
        self.assertEqual(poller.poll(-1), [(self.ours.fileno(), select.POLLOUT)])
        self.assertRaises(KeyError, poller.unregister, self.theirs)
        self.assertRaises(FileNotFoundError, poller.modify, self.theirs, 1)

    def test_poll_keeps_its_time(self):
        poller = sockeye.poll()
        poller.register(self.ours, select.POLLIN)
        began = time.monotonic()
        self.assertEqual(poller.poll(50), [])
        self.assertGreaterEqual(time.monotonic() - began, 0.05)

    def test_select_takes_both_kinds(self):
        self.assertEqual(sockeye.select([self.ours, self.theirs], [], [], 0), ([], [], []))
        self.their_peer.send(b"x")
        found = sockeye.select([self.ours, self.theirs], [self.ours], [self.ours])
        self.assertEqual(found, ([self.theirs], [self.ours], []))
        self.peer.close()
        self.assertEqual(sockeye.select([self.ours.fileno()], [], []), ([self.ours.fileno()], [], []))
        self.assertRaises(ValueError, sockeye.select, [self.peer], [], [])
        self.assertRaises(ValueError, sockeye.select, [], [], [], -1)

    def test_a_selector_takes_both_kinds(self):
        with sockeye.Selector() as selector:
            ours = selector.register(self.ours, selectors.EVENT_READ, "ours")
            theirs = selector.register(self.theirs, selectors.EVENT_READ | selectors.EVENT_WRITE)
            self.assertEqual(selector.select(), [(theirs, selectors.EVENT_WRITE)])
            selector.modify(self.theirs, selectors.EVENT_READ)
            self.assertEqual(selector.select(0.01), [])
            self.peer.send(b"x")
            self.assertEqual(selector.select(), [(ours, selectors.EVENT_READ)])
            self.assertEqual(selector.get_key(self.ours).data, "ours")
            self.assertEqual((len(selector.get_map()), self.ours in selector.get_map()), (2, True))
            self.assertRaises(KeyError, selector.register, self.ours, selectors.EVENT_READ)
            self.assertRaises(ValueError, selector.modify, self.ours, 0)
            self.ours.close()
            self.assertEqual(selector.unregister(self.ours), ours)
            self.assertRaises(KeyError, selector.unregister, self.ours)
        self.assertIsNone(selector.get_map())


class Asyncio(unittest.TestCase):
    def test_streams_and_sock_calls_on_a_loop_with_our_selector(self):
        async def echo(reader, writer):
            writer.write(await reader.readexactly(200_000))
            await writer.drain()
            writer.close()

        async def talk(stack):
            listener = stack.create_server(("127.0.0.1", 0))
            address = listener.getsockname()
            server = await asyncio.start_server(echo, sock=listener)
            client = stack.socket()
            client.setblocking(False)
            loop = asyncio.get_running_loop()
            await loop.sock_connect(client, address)
            await loop.sock_sendall(client, bytes(100_000))
            reader, writer = await asyncio.open_connection(sock=client)
            writer.write(bytes(100_000))
            got = await asyncio.wait_for(reader.read(), 10)
            writer.close()
            await writer.wait_closed()
            server.close()
            await server.wait_closed()
            return len(got)

        loop = asyncio.SelectorEventLoop(sockeye.Selector())
        self.addCleanup(loop.close)
        with sockeye.Stack("null:") as stack:
            self.assertEqual(loop.run_until_complete(talk(stack)), 200_000)


class AsyncioOnTheKernelsSelector(unittest.TestCase):
    """The standard event loop as asyncio.run() makes it, on pollable sockets."""

    def setUp(self):
        self.stack = sockeye.Stack("null:")
        self.addCleanup(self.stack.close)

    def run_here(self, coroutine):
        async def limited():
            loop = asyncio.get_running_loop()
            self.assertIsInstance(loop._selector, selectors.DefaultSelector)
            return await asyncio.wait_for(coroutine, 20)

        return asyncio.run(limited())

    def listener(self):
        made = self.stack.create_server(("127.0.0.1", 0), pollable=True)
        made.setblocking(False)
        self.addCleanup(made.close)
        return made

    def client(self, kind=standard.SOCK_STREAM):
        made = self.stack.socket(type=kind, pollable=True)
        made.setblocking(False)
        self.addCleanup(made.close)
        return made

    def test_the_low_level_calls_connect_accept_send_and_receive(self):
        listener, client, data = self.listener(), self.client(), os.urandom(3_000_000)

        async def serve():
            loop = asyncio.get_running_loop()
            made, peer = await loop.sock_accept(listener)
            with made:
                self.assertEqual((made.pollable, peer), (True, client.getsockname()))
                got = bytearray()
                while piece := await loop.sock_recv(made, 65536):
                    got += piece
                await loop.sock_sendall(made, bytes(reversed(got)))

        async def talk():
            loop = asyncio.get_running_loop()
            serving = asyncio.create_task(serve())
            await loop.sock_connect(client, listener.getsockname())
            await loop.sock_sendall(client, data)
            client.shutdown(standard.SHUT_WR)
            got, buffer = bytearray(), bytearray(50_000)
            while count := await loop.sock_recv_into(client, buffer):
                got += buffer[:count]
            await serving
            return bytes(reversed(got))

        self.assertEqual(self.run_here(talk()), data)

    def test_streams_serve_many_clients_at_once(self):
        async def echo(reader, writer):
            writer.write(await reader.readline())
            await writer.drain()
            writer.close()
            await writer.wait_closed()

        async def ask(address, number):
            client = self.client()
            await asyncio.get_running_loop().sock_connect(client, address)
            reader, writer = await asyncio.open_connection(sock=client)
            writer.write(b"%d\n" % number)
            got = await reader.read()
            writer.close()
            await writer.wait_closed()
            return int(got)

        async def talk():
            server = await asyncio.start_server(echo, sock=self.listener())
            async with server:
                address = server.sockets[0].getsockname()
                return await asyncio.gather(*(ask(address, number) for number in range(50)))

        self.assertEqual(self.run_here(talk()), list(range(50)))

    def test_failures_are_the_standard_librarys(self):
        async def refused():
            with self.stack.create_server(("127.0.0.1", 0)) as listener:
                nobody = listener.getsockname()
            with self.assertRaises(ConnectionRefusedError):
                await asyncio.get_running_loop().sock_connect(self.client(), nobody)

        async def reset():
            loop, listener, client = asyncio.get_running_loop(), self.listener(), self.client()
            await loop.sock_connect(client, listener.getsockname())
            made, _ = await loop.sock_accept(listener)
            waiting = asyncio.create_task(loop.sock_recv(client, 1))
            await asyncio.sleep(0.05)
            made.setsockopt(standard.SOL_SOCKET, standard.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            made.close()
            with self.assertRaises(ConnectionResetError):
                await waiting

        async def too_late():
            loop, listener, client = asyncio.get_running_loop(), self.listener(), self.client()
            await loop.sock_connect(client, listener.getsockname())
            with self.assertRaises(asyncio.TimeoutError):
                await asyncio.wait_for(loop.sock_recv(client, 1), 0.05)

        for each in refused, reset, too_late:
            with self.subTest(each.__name__):
                self.run_here(each())

    @unittest.skipIf(sys.version_info < (3, 11), "this Python's loop has no datagram calls")
    def test_datagrams(self):
        one, two = self.client(standard.SOCK_DGRAM), self.client(standard.SOCK_DGRAM)
        two.bind(("127.0.0.1", 0))

        async def talk():
            loop = asyncio.get_running_loop()
            receiving = asyncio.create_task(loop.sock_recvfrom(two, 100))
            await asyncio.sleep(0)
            await loop.sock_sendto(one, b"hello", two.getsockname())
            return (await receiving)[0]

        self.assertEqual(self.run_here(talk()), b"hello")

    def test_the_standard_librarys_select_sees_a_pollable_socket(self):
        listener, client = self.listener(), self.client()
        with self.stack.socket() as plain:
            self.assertFalse(plain.pollable)
        self.assertEqual(select.select([listener], [], [], 0), ([], [], []))
        self.assertEqual(client.connect_ex(listener.getsockname()), errno.EINPROGRESS)
        self.assertEqual(select.select([listener], [], [], 10), ([listener], [], []))
        made, _ = listener.accept()
        with made:
            self.assertEqual(select.select([made], [made], [], 0), ([], [made], []))
        made = client.dup()
        with made:
            self.assertEqual(select.select([made], [], [], 10), ([made], [], []))
        client.pollable = False
        self.assertFalse(client.pollable)


class Wheel(unittest.TestCase):
    def test_an_installed_wheel_brings_its_library(self):
        # Without a network: an interpreter that has setuptools and wheel (Debian's python3-setuptools, python3-wheel).
        able = (sys.executable, "/usr/bin/python3")
        ask = "import setuptools, wheel, ensurepip"
        able = [each for each in able if shutil.which(each) and not subprocess.run([each, "-c", ask], stderr=-3).returncode]
        self.assertTrue(able, "install python3-setuptools, python3-wheel and python3-venv")
        with tempfile.TemporaryDirectory() as folder:
            subprocess.run([able[0], "-m", "venv", "--system-site-packages", f"{folder}/venv"], check=True)
            tree = Path(folder, "tree/python")
            shutil.copytree(PYTHON, tree, ignore=shutil.ignore_patterns("build", "*.egg-info", "__pycache__"))
            shutil.copy(PYTHON.parent / "Cargo.toml", tree.parent)
            environment = {**os.environ, "SOCKEYE_LIBRARY": str(Path(_library.path()).resolve())}
            pip = [f"{folder}/venv/bin/python", "-m", "pip", "--disable-pip-version-check"]
            wheel = [*pip, "wheel", "-q", "--no-index", "--no-build-isolation", "-w", folder, tree]
            subprocess.run(wheel, check=True, env=environment)
            (made,) = Path(folder).glob("*.whl")
            self.assertRegex(made.name, rf"^sockeye_net-{sockeye.version()}-py3-none-linux_\w+\.whl$")
            subprocess.run([*pip, "install", "-q", "--no-index", made], check=True)
            script = "import sockeye; sockeye.Stack('null:').close(); print(sockeye._library.path(), sockeye.version())"
            bare = {name: value for name, value in os.environ.items() if name not in ("SOCKEYE_LIBRARY", "PYTHONPATH")}
            done = subprocess.run(
                [pip[0], "-c", script], cwd=folder, env=bare, check=True, capture_output=True, text=True
            )
            self.assertRegex(done.stdout, rf"^{folder}/venv/.*/sockeye/libsockeye.so {sockeye.version()}\n$")


class AgainstTheKernel(unittest.TestCase):
    """In a network namespace that lives as long as a process in it."""

    SETUP = """
        set -e
        ip link set lo up
        ip tuntap add dev t0 mode tap
        ip addr add 10.97.0.1/24 dev t0
        ip link set t0 up
        exec sleep 600
    """

    def setUp(self):
        self.assertEqual(os.geteuid(), 0, "network namespaces and TAP devices need root")
        self.keeper = subprocess.Popen(["unshare", "--net", "sh", "-c", self.SETUP])
        self.addCleanup(self.keeper.wait)
        self.addCleanup(self.keeper.kill)
        deadline = time.monotonic() + 10
        while subprocess.run([*self.inside, "ip", "-4", "-o", "addr", "show", "up", "dev", "t0"], capture_output=True).stdout == b"":
            self.assertLess(time.monotonic(), deadline, "the namespace does not come up")
            time.sleep(0.02)

    @property
    def inside(self):
        return ["nsenter", f"--net=/proc/{self.keeper.pid}/ns/net"]

    def start(self, *command, **options):
        environment = {**os.environ, "PYTHONPATH": str(PYTHON), "SOCKEYE_LIBRARY": _library.path(), "PYTHONUNBUFFERED": "1"}
        process = subprocess.Popen([*self.inside, *command], env=environment, text=True, **options)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        return process

    def test_curl_fetches_from_the_web_example(self):
        with tempfile.TemporaryDirectory() as folder:
            data = os.urandom(5_000_000)
            Path(folder, "file").write_bytes(data)
            example = PYTHON / "examples/web.py"
            net = "tap:t0,ip=10.97.0.2/24"
            web = self.start(sys.executable, str(example), net, folder, stderr=subprocess.DEVNULL)
            fetch = "curl -sS --fail --max-time 20 --retry 20 --retry-connrefused --retry-delay 1 http://10.97.0.2/file"
            done = subprocess.run([*self.inside, *fetch.split()], capture_output=True, timeout=60)
            self.assertEqual((done.stderr, done.stdout == data), (b"", True))
            web.send_signal(signal.SIGINT)
            self.assertEqual(web.wait(10), 0)

    def test_two_of_the_kernels_clients_talk_by_the_chat_example(self):
        self.start(sys.executable, str(PYTHON / "examples/chat.py"), "tap:t0,ip=10.97.0.2/24", "7")
        clients = """if True:
            import socket, time
            for _ in range(100):
                try:
                    a = socket.create_connection(("10.97.0.2", 7), 10)
                    break
                except OSError:
                    time.sleep(0.1)
            b = socket.create_connection(("10.97.0.2", 7), 10)
            for one, other, text in (b, a, "hello"), (a, b, "there"):
                one.sendall(text.encode() + b"\\n")
                print(other.makefile().readline() == "10.97.0.1:%d: %s\\n" % (one.getsockname()[1], text))
        """
        done = self.start("/usr/bin/env", "python3", "-c", clients, stdout=subprocess.PIPE)
        self.assertEqual(done.communicate(timeout=30)[0], "True\nTrue\n")

    def test_a_client_talks_to_the_kernels_server(self):
        server = """if True:
            import socket
            with socket.create_server(("10.97.0.1", 7)) as listener:
                print("ready")
                made, peer = listener.accept()
                with made, made.makefile("rb") as lines:
                    made.sendall(peer[0].encode() + b" said " + lines.readline())
        """
        client = """if True:
            import sockeye
            with sockeye.socket() as made:
                made.settimeout(10)
                made.connect(("10.97.0.1", 7))
                made.sendall(b"hello\\n")
                print(made.makefile().read(), end="")
            try:
                sockeye.create_connection(("10.97.0.1", 9), 10)
            except ConnectionRefusedError as error:
                print(error)
        """
        there = self.start(sys.executable, "-c", server, stdout=subprocess.PIPE)
        self.assertEqual(there.stdout.readline(), "ready\n")
        there.stdout.close()
        environment = ["env", "SOCKEYE_NET=tap:t0,ip=10.97.0.2/24"]
        here = self.start(*environment, sys.executable, "-c", client, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.assertEqual(here.communicate(timeout=30)[0], "10.97.0.2 said hello\n[Errno 111] Connection refused\n")


if __name__ == "__main__":
    unittest.main()
