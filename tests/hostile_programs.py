"""Programs that mean harm, drawn from families with a seed, and the host they must not touch."""

from __future__ import annotations

import os
import random
import socket
import subprocess
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from datagen.runtime import jail

SECONDS = 1.5
"""On the clock for one program; many of them never end by themselves."""

FAMILIES: dict[str, Sequence[str]] = {
    "fork bomb": (
        "import os\nwhile True:\n    try:\n        os.fork()\n    except OSError:\n        pass",
        "import os\nfor _ in range({n}):\n    if os.fork() == 0:\n        os.setsid()\n        while True:\n            pass",
        "import os, time\nif os.fork() == 0:\n    os.setsid()\n    if os.fork() == 0:\n        for f in range(3, 64):\n"
        "            try:\n                os.close(f)\n            except OSError:\n                pass\n        time.sleep({n})\n    os._exit(0)",
        "import subprocess, sys\nwhile True:\n    subprocess.Popen([sys.executable, '-c', 'while True: pass'], start_new_session=True)",
        "import multiprocessing as m\nfor _ in range({n}):\n    m.Process(target=print).start()",
    ),
    "network": (
        "import socket\ns = socket.create_connection(('127.0.0.1', {port}), 1)\ns.send(b'out')",
        "import socket\ns = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\ns.sendto(b'x', ('{ip}', {n}))\ns.connect(('127.0.0.1', {port}))",
        "import socket\ns = socket.socket(socket.AF_INET6)\ns.connect(('::1', {port}))",
        "import socket\nfor a in ('\\0datagen', '/run/docker.sock', '/var/run/dbus/system_bus_socket'):\n    try:\n"
        "        socket.socket(socket.AF_UNIX)."
        "connect(a)\n    except OSError:\n        continue\n    print('ESCAPED', a)",
        "import urllib.request\nurllib.request.urlopen('http://127.0.0.1:{port}/')",
        "import socket\nsocket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)\nprint('ESCAPED')",
    ),
    "files": (
        "print(open('{secret}').read())",
        "open('{canary}', 'w').write('x')",
        "import os\nos.unlink('{canary}')",
        "import os, shutil\nshutil.rmtree('/', ignore_errors=True)\nshutil.rmtree('{folder}', ignore_errors=True)",
        "import os\nfor place in ('/etc/passwd', '/etc/shadow', '/root', '/home', '/var', '/work'):\n    if os.path.exists(place):\n"
        "        print('ESCAPED', place)",
        "import os\nos.symlink('{secret}', '/tmp/a')\nprint(open('/tmp/a').read())",
        "import os\nos.symlink('{folder}', '/tmp/b')\nopen('/tmp/b/canary', 'w').write('x')",
        "import os\nfor n in range({n}):\n    open('/tmp/%d' % n, 'wb').write(b'x' * 2**20)\nprint('full')",
        "f = open('/dev/shm/x', 'wb')\nwhile True:\n    f.write(b'x' * 2**20)\n    f.flush()",
        "import os\nos.chroot('/proc/1/root')\nprint('ESCAPED')",
        "import os\nprint(os.listdir('/proc/1/root/..'), open('/proc/1/root{secret}').read())",
        "import os\nfor d in os.listdir('/proc'):\n    try:\n        print(open('/proc/%s/environ' % d).read())\n    except OSError:\n        pass",
        "import os\nos.mknod('/tmp/disk', 0o60666, os.makedev({n}, 0))\nprint('ESCAPED')",
        "import os\nd = os.open('/', os.O_RDONLY)\nos.chdir('/..')\nfor _ in range({n}):\n    os.chdir('..')\nprint(open('.{secret}').read())",
        "open('/proc/sys/kernel/hostname', 'w').write('gone')\nprint('ESCAPED')",
        "open('/proc/sysrq-trigger', 'w').write('h')\nprint('ESCAPED')",
    ),
    "signals": (
        "import os, signal\nos.kill({sentinel}, signal.SIGKILL)",
        "import os, signal\nos.kill(-1, signal.SIGKILL)",
        "import os, signal\nfor n in range(1, {n} * 50):\n    try:\n        os.kill(n, signal.SIGKILL)\n    except OSError:\n        pass",
        "import os, signal\nos.kill(os.getppid(), signal.SIGKILL)\nwhile True:\n    pass",
        "import signal\nfor n in range(1, 65):\n    try:\n        signal.signal(n, signal.SIG_IGN)\n    except (OSError, ValueError):\n"
        "        pass\nwhile True:\n    pass",
        "import os, signal\nos.killpg(0, signal.SIGSTOP)",
        "import os, signal\nos.kill(os.getpid(), signal.SIGSTOP)",
    ),
    "memory": (
        "x = [0] * (10 ** {big})",
        "x = []\nwhile True:\n    x.append(bytearray({n} * 10 ** 5))",
        "x = 'a'\nwhile True:\n    x += x",
        "import os\nfor _ in range(8):\n    os.fork()\nx = bytearray(10 ** 9)",
        "def f(n):\n    return f(n + 1) + f(n + 2)\nimport sys\nsys.setrecursionlimit(10 ** 9)\nf({n})",
        "x = 9 ** 9 ** {n}",
        "import mmap\nx = mmap.mmap(-1, 2 ** 33)",
        "eval('(' * {n}00 + ')' * {n}00)",
    ),
    "endless output": (
        "while True:\n    print('x' * {n})",
        "import os\nwhile True:\n    os.write(2, b'y' * 65536)",
        "import os\nwhile True:\n    for f in range(3, 64):\n        try:\n            os.write(f, b'z' * {n})\n        except OSError:\n"
        "            pass",
        "import sys\nsys.stdout.write('\\ud800' * {n})",
    ),
    "time": (
        "while True:\n    pass",
        "import time\ntime.sleep({n}000)",
        "import threading, time\nfor _ in range({n}):\n    threading.Thread(target=time.sleep, args=(9999,)).start()",
        "import threading\nlock = threading.Lock()\nlock.acquire()\nlock.acquire()",
        "import re\nre.match('(a+)+$', 'a' * {n}0 + 'b')",
        "import atexit, time\natexit.register(time.sleep, 9999)",
        "class X:\n    def __del__(self):\n        while True:\n            pass\nx = X()\ndel x",
    ),
    "kernel": (
        "import ctypes\nl = ctypes.CDLL(None)\nif l.ptrace(16, {sentinel}, 0, 0) == 0:\n    print('ESCAPED')",
        "import ctypes\nl = ctypes.CDLL(None)\nif l.ptrace(16, 1, 0, 0) == 0:\n    print('ESCAPED')",
        "import ctypes\nl = ctypes.CDLL(None)\nif l.mount(b'none', b'/tmp', b'tmpfs', 0, None) == 0:\n    print('ESCAPED')",
        "import ctypes\nl = ctypes.CDLL(None)\nif l.setuid(0) == 0:\n    print('ESCAPED')",
        "import ctypes\nl = ctypes.CDLL(None)\nif l.sethostname(b'gone', 4) == 0 or l.reboot(0) == 0:\n    print('ESCAPED')",
        "import resource\nfor r in (resource.RLIMIT_AS, resource.RLIMIT_NPROC, resource.RLIMIT_CPU):\n    try:\n"
        "        resource.setrlimit(r, (2 ** 40, 2 ** 40))\n        print('ESCAPED')\n    except (ValueError, OSError):\n        pass",
        "import ctypes\nctypes.string_at({n})",
        "import os\nfor n in range({n}):\n    os.open('/dev/null', 0)",
        "import os, fcntl, termios\nfor f in (0, 1, 2):\n    try:\n        fcntl.ioctl(f, termios.TIOCSTI, b'x')\n        print('ESCAPED')\n"
        "    except OSError:\n        pass",
    ),
    "forgery": (
        "import os\nword = os.read(40, 64)\nos.write(41, word + b' passed \\n')\nos._exit(0)",
        "import os, select\nfor f in select.select([f for f in range(3, 64) if os.path.exists('/proc/self/fd/%d' % f)], [], [], 0)[0]:\n"
        "    word = os.read(f, 64)\n    for t in range(3, 64):\n        try:\n            os.write(t, b'\\n' + word + b' passed \\n')\n"
        "        except OSError:\n            pass\nos._exit(0)",
        "import threading, os, time\nthreading.Thread(target=lambda: (time.sleep(0.0{n}), os._exit(0))).start()",
        "import os\nos._exit(0)",
        "raise SystemExit({n} - {n})",
        "import os\nif os.fork():\n    os._exit(0)",
        "import os\nif os.fork() == 0:\n    os._exit(0)\nos.wait()\nos._exit(0)",
        "import os\nfor f in range(3, 64):\n    try:\n        os.write(f, b'passed' * {n} + b'\\n')\n    except OSError:\n        pass\nos._exit(0)",
        "import os, signal\nos.kill(os.getpid(), signal.SIGTERM)",
        "import sys\nsys.exit = lambda *a: None\nimport builtins\nbuiltins.AssertionError = StopIteration",
        "import os, sys\nos.execv(sys.executable, [sys.executable, '-c', 'print({n})'])",
        "import sys\nsys.excepthook = lambda *a: None\nsys.unraisablehook = lambda *a: None",
        "import os\nos.closerange(0, 100)",
    ),
}
"""A kind of harm -> programs; {n} and the rest are filled in for each one that is drawn."""


@dataclass
class Host:
    """What lies within reach of a program that gets out."""

    folder: Path
    port: int
    sentinel: int
    token: str
    calls: list[str] = field(default_factory=list)

    def fill(self, template: str, chance: random.Random) -> str:
        words = {
            "n": chance.randrange(10, 100),
            "big": chance.randrange(9, 14),
            "port": self.port,
            "ip": f"10.{chance.randrange(256)}.{chance.randrange(256)}.1",
            "secret": self.folder / "secret",
            "canary": self.folder / "canary",
            "folder": self.folder,
            "sentinel": self.sentinel,
        }
        for name, value in words.items():
            template = template.replace(f"{{{name}}}", str(value))
        return template

    def harmed(self) -> list[str]:
        """What no program may have done."""
        wrong = [f"somebody called: {call}" for call in self.calls]
        if {path.name for path in self.folder.iterdir()} != {"secret", "canary"} or (self.folder / "canary").read_text() != "as it was":
            wrong.append("a file of the host was changed")
        if not Path(f"/proc/{self.sentinel}").exists() or "Z" in Path(f"/proc/{self.sentinel}/stat").read_text().rpartition(")")[2].split()[0]:
            wrong.append("a process of the host was ended")
        return wrong


@contextmanager
def standing_host() -> Iterator[Host]:
    """A secret, a file, a server and a process, taken away afterwards."""
    token = f"token-{os.urandom(8).hex()}"
    listener = socket.create_server(("127.0.0.1", 0))
    sentinel = subprocess.Popen(["sleep", "100000"])
    with tempfile.TemporaryDirectory(prefix="datagen-host-") as name:
        folder = Path(name)
        (folder / "secret").write_text(token)
        (folder / "canary").write_text("as it was")
        host = Host(folder, listener.getsockname()[1], sentinel.pid, token)
        threading.Thread(target=_answer, args=(listener, host.calls), daemon=True).start()
        os.environ["DATAGEN_TOLD_TO_NOBODY"] = token
        try:
            yield host
        finally:
            del os.environ["DATAGEN_TOLD_TO_NOBODY"]
            listener.close()
            sentinel.kill()
            sentinel.wait()


def _answer(listener: socket.socket, calls: list[str]) -> None:
    while True:
        try:
            connection, address = listener.accept()
        except OSError:
            return
        calls.append(str(address))
        connection.close()


def inmates() -> list[str]:
    """Processes of cells that this process made: they carry its mark on their command line."""
    found = []
    for place in Path("/proc").iterdir():
        if place.name.isdigit():
            try:
                if jail.MARK.encode() in (place / "cmdline").read_bytes():
                    found.append(place.name)
            except OSError:
                continue
    return found


def attempt(count: int, seed: int, host: Host, tell: Callable[[str], None] = lambda line: None) -> Counter[str]:
    """Run `count` programs, all kinds in turn; counts hangs, leaks, escapes and forged passes, each told with its program."""
    chance, told = random.Random(seed), Counter(hangs=0, leaks=0, escapes=0, forged=0)
    kinds = list(FAMILIES)
    for number in range(count):
        kind = kinds[number % len(kinds)]
        family = FAMILIES[kind]
        program = host.fill(family[number // len(kinds) % len(family)], chance)
        began = time.monotonic()
        ending = jail.run(f"{program}\nassert False, 'the test that fails'", jail.Limits(seconds=SECONDS, cpu=2))
        took = time.monotonic() - began
        patience = time.monotonic() + 5
        while inmates() and time.monotonic() < patience:
            time.sleep(0.02)
        faults = {
            "hangs": took > SECONDS + jail.START,
            "leaks": bool(inmates()),
            "escapes": bool(host.harmed()) or host.token in ending.output + ending.evidence or "ESCAPED" in ending.output,
            "forged": ending.how == "passed",
        }
        told.update(name for name, bad in faults.items() if bad)
        told[kind] += 1
        if any(faults.values()):
            tell(f"{kind}: {[name for name, bad in faults.items() if bad]} {host.harmed()} {ending} by\n{program}")
    return told
