"""What the soak runs: the programs that live as long as it does, those that come and go, and those that are killed."""

import os
import random
import shutil
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
import urllib.request

# Where programs have their files: run.sh mounts a /tmp of the soak's own.
WORK = "/tmp/work"
# The kernel's side of each wire, and the stack's.
KERNEL = ["10.97.0.1", "10.97.1.1", "10.97.2.1"]
STACK = ["10.97.0.2", "10.97.1.2", "10.97.2.2"]
PORT = 7000
NAME = "soak.test"
PAGE = bytes(random.Random(7).randrange(256) for _ in range(50_000))


def spec(wire, more=""):
    """The network specification of one of the wires."""
    return f"tap:t{wire},ip={STACK[wire]}/24,gw={KERNEL[wire]}{more}"


class Programs:
    """All that runs. `wrong` has what went wrong, in words."""

    def __init__(self, out):
        self.out, self.wrong, self.living, self.counts = out, [], {}, {}
        self.is_over = threading.Event()
        self.threads, self.load = [], []
        self.dice = random.Random(1)
        self.environment = dict(os.environ, PATH=f"{out}:{os.environ['PATH']}:/usr/sbin:/sbin")
        self.plant = {"SOAK_PLANT": self.environment.pop("SOAK_PLANT")} if "SOAK_PLANT" in os.environ else {}
        os.makedirs(f"{WORK}/site", exist_ok=True)
        with open(f"{WORK}/site/page", "wb") as page:
            page.write(PAGE)

    def have(self, program):
        """Whether a program is there; the soak does with what it finds."""
        return shutil.which(program, path=self.environment["PATH"]) is not None

    def start(self, name, command, net=None, cwd=WORK, **variables):
        """Starts a program that must live until it is told to end. With `net` it is hosted, or has the stack inside."""
        environment = dict(self.environment, **variables)
        if net:
            environment["SOCKEYE_NET"] = net
        with open(f"{self.out}/{name}.log", "wb") as log:
            child = subprocess.Popen(command, env=environment, cwd=cwd,
                                     stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        self.living[name] = child
        return child

    def blame(self, what):
        """Something is wrong; the soak goes on, and fails in the end."""
        if len(self.wrong) < 50:
            self.wrong.append(f"{time.strftime('%T')} {what}")
            print(f"\nsoak: {what}", file=sys.stderr, flush=True)

    def look(self):
        """Which of those that must live have ended."""
        for name, child in list(self.living.items()):
            if child.poll() is not None:
                with open(f"{self.out}/{name}.log", "rb") as log:
                    said = log.read()[-300:].decode(errors="replace").strip()
                self.blame(f"{name} has ended ({child.returncode}): {said}")
                del self.living[name]

    def again_and_again(self, name, act, pause):
        """A thread that does something, rests, and does it again. What it raises is wrong."""

        def turn():
            while not self.is_over.is_set():
                try:
                    act()
                except Exception as why:  # noqa: BLE001
                    if not self.is_over.is_set():
                        self.blame(f"{name}: {type(why).__name__}: {why}"[:600])
                self.counts[name] = self.counts.get(name, 0) + 1
                self.is_over.wait(pause)

        thread = threading.Thread(target=turn, name=name)
        thread.start()
        self.threads.append(thread)

    def short(self, command, net=None, **variables):
        """Runs a program to its end, which must be a good one; gives what it prints."""
        environment = dict(self.environment, **variables)
        if net:
            environment["SOCKEYE_NET"] = net
        done = subprocess.run(command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, timeout=60,
                              cwd="/tmp/work")
        if done.returncode != 0:
            said = (done.stdout + done.stderr)[-300:].decode(errors="replace").strip()
            raise RuntimeError(f"{' '.join(command[:8])}: {done.returncode}: {said}")
        return done.stdout

    # ---- what lives as long as the soak -----------------------------------------------------------------------------

    def start_servers(self):
        """The kernel's servers, the host and the hosted servers, the embedded server."""
        kernel, embedded = f"{self.out}/kernel", f"{self.out}/embedded"
        answers_names(KERNEL[0])
        self.start("kernel-server", [kernel, "serve", str(PORT)])
        self.hosted = spec(0, f",dns={KERNEL[0]}")
        self.start("host", [f"{self.out}/sockeye", "host", "--net", self.hosted, "--stack", "soak"])
        self.wait_for(lambda: b"soak" in self.short(["sockeye", "ls"]))
        run = ["sockeye", "run", "--stack", "soak", "--"]
        self.start("hosted-server", [*run, kernel, "serve", str(PORT)], self.hosted)
        self.start("hosted-python",
                   [*run, sys.executable, "-m", "http.server", "8000", "--directory", f"{WORK}/site"], self.hosted)
        if self.have("redis-server"):
            self.start("hosted-redis", [*run, "redis-server", "--save", "", "--protected-mode", "no", "--port", "6379"],
                       self.hosted)
        if self.have("nginx"):
            self.has_tls = self.make_certificate()
            self.start("hosted-nginx", [*run, "nginx", "-p", WORK, "-c", self.nginx_configuration()], self.hosted)
        self.start("embedded-server", [embedded, "serve", str(PORT)], spec(1), **self.plant)
        for wire in [0, 1]:
            self.wait_for(lambda wire=wire: socket.create_connection((STACK[wire], PORT), 5).close() is None)
        self.wait_for(lambda: socket.create_connection((STACK[0], 8000), 5).close() is None)

    def wait_for(self, is_so):
        """Until something is so, half a minute at most."""
        end = time.monotonic() + 30
        while True:
            try:
                if is_so():
                    return
            except (OSError, RuntimeError):
                pass
            self.look()
            if self.wrong or time.monotonic() > end:
                raise SystemExit("the soak's programs do not start")
            time.sleep(0.1)

    def start_load(self):
        """The clients that live as long as the soak, each on a stack or on the kernel."""
        kernel, embedded = f"{self.out}/kernel", f"{self.out}/embedded"
        run = ["sockeye", "run", "--stack", "soak", "--", kernel, "load"]
        before = set(self.living)
        self.start("kernel-to-hosted", [kernel, "load", STACK[0], str(PORT), "1"], SOAK_FORKS="1")
        self.start("kernel-to-embedded", [kernel, "load", STACK[1], str(PORT), "2"])
        self.start("hosted-to-kernel", [*run, KERNEL[0], str(PORT), "3"], self.hosted, SOAK_FORKS="1", SOAK_NAME=NAME)
        self.start("hosted-to-hosted", [*run, "127.0.0.1", str(PORT), "4"], self.hosted, SOAK_FORKS="1", SOAK_NAME=NAME)
        # The same over a bad line: what is lost has to be sent again.
        bad = spec(2, ",link=loss:0.3%+reorder:0.5%+delay:2ms+seed:5")
        self.start("embedded-to-kernel", [embedded, "load", KERNEL[2], str(PORT), "5"], bad)
        self.load = [name for name in self.living if name not in before]

    def start_passers_by(self):
        """Programs that come and go, and programs that are killed."""
        self.again_and_again("killed: hosted clients", self.kill_a_client, 0.5)
        self.again_and_again("killed: kernel's clients", self.kill_a_kernel_client, 1)
        self.again_and_again("python asks hosted python", lambda: fetch(f"http://{STACK[0]}:8000/page"), 0.3)
        code = ("import socket,urllib.request as u;"
                f"socket.getaddrinfo('{NAME}',80);b=u.urlopen('http://{NAME}:8000/page',timeout=30).read();"
                f"assert b==open('{WORK}/site/page','rb').read()")
        run = ["sockeye", "run", "--stack", "soak", "--"]
        self.again_and_again("hosted python asks by name",
                             lambda: self.short([*run, sys.executable, "-c", code], self.hosted), 4)
        # A killed listener, and one that is full.
        self.again_and_again("killed: hosted servers", self.kill_a_server, 3)
        if self.have("redis-server") and self.have("redis-benchmark"):
            bench = ["redis-benchmark", "-h", STACK[0], "-n", "1000", "-c", "20", "-q", "-t", "set,get,lpush,lpop"]
            self.again_and_again("redis-benchmark", lambda: self.short(bench), 5)
        if self.have("redis-cli") and self.have("redis-server"):
            cli = [*run, "redis-cli", "-h", "127.0.0.1", "ping"]
            self.again_and_again("hosted redis-cli", lambda: self.expect(self.short(cli, self.hosted), b"PONG\n"), 2)
        if "hosted-nginx" in self.living and self.have("curl"):
            curl = ["curl", "-sSk", "--max-time", "30"]
            urls = [f"http://{STACK[0]}:8080/page"] * 10 + [f"https://{STACK[0]}:8443/page"] * 3 * self.has_tls
            self.again_and_again("curl asks hosted nginx",
                                 lambda: self.expect(self.short([*curl, *urls]), PAGE * len(urls)), 1)
            by_name = [*run, *curl, f"http{'s' * self.has_tls}://{NAME}:{8443 if self.has_tls else 8080}/page"]
            self.again_and_again("hosted curl asks by name",
                                 lambda: self.expect(self.short(by_name, self.hosted), PAGE), 3)

    def expect(self, found, right):
        """What came must be the right bytes."""
        if found != right:
            raise RuntimeError(f"a wrong byte: {len(found)} bytes came, {len(right)} are right")

    def kill_a_client(self):
        """A hosted client in the middle of its work."""
        command = ["sockeye", "run", "--stack", "soak", "--", f"{self.out}/kernel", "load", KERNEL[0], str(PORT)]
        self.kill_one([*command, str(self.dice.randrange(1 << 30))], SOCKEYE_NET=self.hosted, SOAK_REST="1")

    def kill_a_kernel_client(self):
        """A client of the kernel's, of the hosted and the embedded server in turn."""
        to = STACK[self.dice.randrange(2)]
        self.kill_one([f"{self.out}/kernel", "load", to, str(PORT), str(self.dice.randrange(1 << 30))], SOAK_REST="1")

    def kill_a_server(self):
        """A hosted server, with clients at it."""
        command = ["sockeye", "run", "--stack", "soak", "--", f"{self.out}/kernel", "serve", "7100"]

        def visit():
            sockets = []
            for _ in range(20):
                try:
                    sockets.append(socket.create_connection((STACK[0], 7100), 0.3))
                except OSError:
                    time.sleep(0.02)
            return sockets

        held = []
        self.kill_one(command, lambda: held.extend(visit()), SOCKEYE_NET=self.hosted)
        for one in held:
            one.close()

    def kill_one(self, command, meanwhile=lambda: None, **variables):
        """Starts a program and kills it after a time by chance. It must not have ended before."""
        child = subprocess.Popen(command, env=dict(self.environment, **variables), stdin=subprocess.DEVNULL,
                                 stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        meanwhile()
        time.sleep(self.dice.uniform(0.05, 1.5))
        child.send_signal(signal.SIGKILL)
        said = child.communicate()[1].decode(errors="replace").strip()
        if child.returncode != -signal.SIGKILL:
            raise RuntimeError(f"{' '.join(command[-4:])} ended by itself ({child.returncode}): {said}")

    def stop_load(self):
        """Ends clients and passers-by; servers and stacks stay."""
        self.is_over.set()
        for thread in self.threads:
            thread.join()
        for name in self.load:
            if name in self.living:
                self.end(name)

    def end(self, name):
        """Ends one that lives, which must go well."""
        child = self.living.pop(name)
        child.terminate()
        try:
            child.wait(40)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
            self.blame(f"{name} does not end")
            return
        if child.returncode not in (0, -signal.SIGTERM):
            self.blame(f"{name} ended with {child.returncode}")

    # ---- configurations ---------------------------------------------------------------------------------------------

    def make_certificate(self):
        """A certificate for TLS, if there is openssl(1) to make one."""
        if not self.have("openssl"):
            return False
        self.short(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "30", "-subj", f"/CN={NAME}",
                    "-keyout", f"{WORK}/key.pem", "-out", f"{WORK}/certificate.pem"])
        return True

    def nginx_configuration(self):
        """Two workers, and TLS where there is a certificate."""
        tls = (f"listen 8443 ssl; ssl_certificate {WORK}/certificate.pem; ssl_certificate_key {WORK}/key.pem;"
               if self.has_tls else "")
        places = " ".join(f"{kind}_temp_path {WORK}/{kind};"
                          for kind in ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"])
        text = (f"worker_processes 2; daemon off; user root root;\n"
                f"pid {WORK}/nginx.pid; error_log {WORK}/nginx.log;\n"
                f"events {{ worker_connections 512; }}\n"
                f"http {{ access_log off; sendfile on; {places}\n"
                f"server {{ listen 8080; {tls} root {WORK}/site; }} }}\n")
        with open(f"{WORK}/nginx.conf", "w", encoding="ascii") as file:
            file.write(text)
        return f"{WORK}/nginx.conf"


def fetch(url):
    """The page, over the kernel's sockets."""
    with urllib.request.urlopen(url, timeout=30) as answer:
        if answer.read() != PAGE:
            raise RuntimeError("a wrong byte in a page")


def answers_names(at):
    """A name server of the kernel's that knows one name (RFC 1035), in a thread."""
    server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    server.bind((at, 53))

    def serve():
        while True:
            question, asker = server.recvfrom(2048)
            end = question.find(b"\0", 12) + 5
            if end < 17 or len(question) < end:
                continue
            labels, kind = question[12 : end - 4], question[end - 4 : end - 2]
            name = b"".join(bytes([len(part)]) + part.encode() for part in NAME.split(".")) + b"\0"
            is_known = labels.lower() == name
            answer = b""
            if is_known and kind == b"\0\1":
                answer = b"\xc0\x0c" + struct.pack(">HHIH", 1, 1, 5, 4) + socket.inet_aton(STACK[0])
            flags = 0x8580 | (0 if is_known else 3)
            head = question[:2] + struct.pack(">HHHHH", flags, 1, 1 if answer else 0, 0, 0)
            server.sendto(head + question[12:end] + answer, asker)

    threading.Thread(target=serve, daemon=True).start()

