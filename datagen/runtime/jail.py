"""A cell for programs that nobody has read: no network, none of the host's files, few resources, and killed with its whole tree.

The cell is made by bubblewrap (`bwrap`): a root of its own that holds a read-only Python and an empty, small /tmp, namespaces of its own for
processes, network and IPC, no environment, no capabilities, an unprivileged user. Where bubblewrap is not there, `check` refuses; who says
so by name gets resource limits only, which stop accidents and no one who means harm.

A verdict is believed only with a word that is sent once the program has come to its end, and asks for it by another word, on pipes whose numbers
are drawn anew for each run. So a program that leaves early, however politely, has not passed, and no pipe that it finds holds anything. One that
reads the frames of its own process can forge a pass, as in every harness that runs tests beside what they test (`check: {code}` runs a second
time behind a test that nothing passes, for that); it cannot leave the cell.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import selectors
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal, get_args

from datagen.errors import SetupError

OUTPUT = 65_536
"""Bytes of a program's output that are kept; more is read and thrown away until `ENDLESS`."""
ENDLESS = 8_000_000
"""Bytes of output after which a program is ended."""
MARK = f"cell-{secrets.token_hex(8)}"
"""On the command line of all that this process starts here, so that what is left over could be told."""
START = 10.0
"""Seconds in which a cell must come up, on a busy machine."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What one program may use."""

    seconds: float = 30.0
    """On the clock, from when the cell is up."""
    cpu: int = 10
    """Seconds of processor time, each process."""
    memory: int = 512 * 2**20
    """Bytes of address space, each process."""
    processes: int = 16
    """Processes and threads at once."""
    file: int = 2**20
    """Bytes of one file; all of /tmp holds sixteen times as much."""


How = Literal["passed", "raised", "left", "killed", "timeout", "endless"]
ENDINGS: tuple[How, ...] = get_args(How)


@dataclass(frozen=True, slots=True)
class Ending:
    """How a program ended."""

    how: How
    """`raised`: an exception; `left`: it exited before its end; `killed`: by a signal, its own or of a limit; `endless`: too much output."""
    evidence: str = ""
    output: str = ""
    jailed: bool = True
    """False where only resource limits held it."""


_INSIDE = r"""
import os, sys, resource
def main():
    uid, reads, seconds, memory, processes, size, length = (int(word) for word in sys.argv[1:8])
    at = 10 + os.urandom(1)[0] % 25
    talk = os.dup2(0, at, inheritable=False)
    tell = os.dup2(2, at + 1 + os.urandom(1)[0] % 25, inheritable=False)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(1, 2)
    source = b""
    while len(source) < length:
        source += os.read(talk, min(65536, length - len(source)))
    source, ask = source[:-32], source[-32:]
    if reads:
        import ctypes
        system = ctypes.CDLL(None, use_errno=True)
        system.prctl(8, 1, 0, 0, 0)  # PR_SET_KEEPCAPS
    if uid:
        os.setgroups([]); os.setgid(uid); os.setuid(uid)
    if reads:  # CAP_DAC_READ_SEARCH alone of all that root may, to import from a Python that root alone can read
        if system.capset((ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)(4, 4, 0, 0, 0, 0)):
            os._exit(1)
    for name, most in (("CPU", seconds), ("AS", memory), ("NPROC", processes), ("FSIZE", size), ("NOFILE", 64), ("CORE", 0)):
        if most >= 0:
            resource.setrlimit(getattr(resource, "RLIMIT_" + name), (most, most + (name == "CPU")))
    os.write(tell, b"up\n")
    how, evidence = "passed", ""
    import types
    place = sys.modules["program"] = types.ModuleType("program")
    sys.argv[:] = ["program"]
    import builtins
    builtins.exit = builtins.quit = sys.exit
    first = os.getpid()
    try:
        text = source.decode("utf-8", "surrogatepass")
        exec(compile(text, "<program>", "exec", dont_inherit=True), place.__dict__)
    except SystemExit as error:
        how, evidence = "left", "SystemExit: %s" % (error.code,)
    except BaseException as error:
        how, evidence = "raised", told(error, source)
    try:
        sys.stdout.flush()
    except BaseException:
        pass
    if os.getpid() != first:  # a child that the program forked has no say
        os._exit(0)
    os.write(tell, b"\n" + ask + b"\n")
    word = os.read(talk, 64)
    os.write(tell, word + b" " + how.encode() + b" " + evidence.encode("utf-8", "replace")[:1000] + b"\n")
    os._exit(0)
def told(error, source):
    try:
        words = "%s: %s" % (type(error).__name__, error)
    except BaseException:
        words = type(error).__name__
    lines, trace, at = source.decode("utf-8", "replace").split("\n"), error.__traceback__, 0
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == "<program>":
            at = trace.tb_lineno
        trace = trace.tb_next
    if isinstance(error, SyntaxError):
        at = error.lineno or 0
    shown = lines[at - 1].strip()[:160] if 0 < at <= len(lines) else ""
    return " ".join(("%s (line %d: %s)" % (words.rstrip(": ")[:300], at, shown) if shown else words.rstrip(": ")).split())
main()
"""


def check(unsafe: bool = False) -> None:
    """Raises SetupError where programs cannot be held here, and limits alone are not allowed."""
    if not unsafe and _way() == "limits":
        raise SetupError(
            f"programs of a teacher are run in a sandbox, and there is none here: {_why()}. Install bubblewrap (Debian, Ubuntu: `apt-get install "
            "bubblewrap`; Fedora: `dnf install bubblewrap`) and allow user namespaces; or, for programs that you would run yourself, say "
            "`--unsafe-sandbox` (in a spec: `check: {code: {unsafe_sandbox: true}}`), which limits time, memory and file size, hides neither files "
            "nor network, and is told with the release"
        )
    if _way() == "limits" and not _starts():
        raise SetupError(
            "`--unsafe-sandbox` as root runs each program as a user without rights, which cannot be done here: this Python can be read by root alone "
            "and root may not pass on that right (CAP_DAC_READ_SEARCH). Run datagen as another user, or with a Python that all can read"
        )


def run(source: str, limits: Limits | None = None, unsafe: bool = False) -> Ending:
    """Run a Python program to its end, in a cell of its own. Raises SetupError where the cell cannot be made."""
    check(unsafe)
    way = _way()
    for _ in range(3):  # a machine that is short of processes for a moment; a program is never blamed for that
        ending = _once(source, limits or Limits(), way)
        if ending is not None:
            return ending
        time.sleep(0.2)
    raise SetupError(f"the sandbox ({way}) that worked when this run began cannot be started any more: is the machine out of memory or processes?")


@cache
def _way() -> Literal["root", "user", "limits"]:
    """How programs can be held on this machine, found by trying: a cell in which a bomb of forks is not held is none."""
    bomb = "import os\ntry:\n    [os.fork() or os._exit(0) for _ in range(64)]\nexcept OSError:\n    pass\nelse:\n    raise SystemExit('not held')"
    ways: tuple[Literal["root", "user"], ...] = ("root", "user") if os.geteuid() == 0 else ("user",)
    for way in ways if shutil.which("bwrap") else ():
        ending = _once(bomb, Limits(), way)
        if ending is not None and ending.how == "passed":
            return way
    return "limits"


@cache
def _starts() -> bool:
    """Whether a program comes up under limits alone."""
    return any(_once("", Limits(), "limits") is not None for _ in range(3))


def _why() -> str:
    if not sys.platform.startswith("linux"):
        return f"bubblewrap needs Linux, and this is {sys.platform}"
    if not shutil.which("bwrap"):
        return "`bwrap` is not on the PATH"
    return "`bwrap` is here, but may not make namespaces that hold a program (in a container: allow user namespaces, or run it as a user)"


def _once(source: str, limits: Limits, way: Literal["root", "user", "limits"]) -> Ending | None:
    """One run; None where the cell did not come up."""
    program = source.encode("utf-8", "surrogatepass")
    with _folder(way) as folder:
        uid = secrets.randbelow(2**30) + 2**20 if way == "root" or (way == "limits" and os.geteuid() == 0) else 0  # a user that nobody else is
        reads = int(way == "limits" and bool(uid) and not _open_to_all())
        processes = limits.processes if way != "limits" else 1
        ask = secrets.token_hex(16).encode()
        numbers = (uid, reads, limits.cpu, limits.memory, processes, limits.file, len(program) + len(ask))
        head = [sys.executable] if way == "limits" else _walls(way, limits)
        command = [*head, "-s", "-P", "-S", "-c", _INSIDE, *(str(number) for number in numbers), MARK]
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={"PATH": "/usr/bin:/bin", "PYTHONHASHSEED": "0"} if way == "limits" else {"PATH": "/usr/bin:/bin"},  # /proc/1/environ shows it
            cwd=folder,
            start_new_session=True,
        )
        try:
            return _watch(process, program, ask, limits.seconds, way != "limits")
        finally:
            _end(process)


@contextlib.contextmanager
def _folder(way: str) -> Iterator[str]:
    """Where it runs: in a cell its own /tmp, else a folder that is taken away afterwards."""
    if way != "limits":
        yield "/"
        return
    with tempfile.TemporaryDirectory(prefix="datagen-program-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o777)
        yield folder


def _open_to_all() -> bool:
    """Whether another user can read this Python: else root keeps the right to read when it gives all others away, to import still."""
    places = [Path(os.__file__).resolve(), Path(sys.executable).resolve()]
    return all(folder.stat().st_mode & 0o001 for place in places for folder in place.parents)


@cache
def _walls(way: str, limits: Limits) -> list[str]:
    """bwrap and its arguments, up to the Python inside."""
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    prefix, executable = Path(sys.base_prefix).resolve(), Path(getattr(sys, "_base_executable", sys.executable)).resolve()
    home = Path("/usr") if prefix == Path("/usr") else Path("/python")
    walls = [str(shutil.which("bwrap")), "--clearenv"]
    for folder in dict.fromkeys(("/usr", str(home), f"{home}/bin")):  # bwrap would make them for their owner alone
        walls += ["--perms", "0755", "--dir", folder]
    walls += ["--ro-bind", "/usr/lib", "/usr/lib"]
    for name in ("lib", "lib64", "lib32"):
        place = Path("/", name)
        if name != "lib":
            walls += ["--ro-bind-try", f"/usr/{name}", f"/usr/{name}"]
        if place.is_symlink():
            walls += ["--symlink", f"usr/{name}", f"/{name}"]
        elif place.is_dir():
            walls += ["--ro-bind", f"/{name}", f"/{name}"]
    walls += ["--ro-bind", str(executable), f"{home}/bin/{version}"]
    if prefix != Path("/usr"):
        walls += ["--ro-bind", str(prefix / "lib"), "/python/lib", "--setenv", "LD_LIBRARY_PATH", "/python/lib"]
        if (prefix / "lib" / version / "site-packages").is_dir():
            walls += ["--tmpfs", f"/python/lib/{version}/site-packages", "--remount-ro", f"/python/lib/{version}/site-packages"]
    room = str(16 * limits.file)
    walls += ["--proc", "/proc", "--dev", "/dev", "--size", room, "--perms", "1777", "--tmpfs", "/tmp", "--size", room, "--perms", "1777"]
    walls += ["--tmpfs", "/dev/shm", "--remount-ro", "/dev", "--remount-ro", "/", "--chdir", "/tmp", "--hostname", "cell"]
    walls += ["--unshare-pid", "--unshare-net", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try", "--die-with-parent", "--new-session"]
    if way == "user":
        walls += ["--unshare-user", "--disable-userns", "--uid", "65534", "--gid", "65534", "--cap-drop", "ALL"]
    else:  # root's own processes are counted by no limit, so the program becomes a user that nobody else is
        walls += ["--cap-drop", "ALL", "--cap-add", "CAP_SETUID", "--cap-add", "CAP_SETGID"]
    for name, value in (("PYTHONHASHSEED", "0"), ("HOME", "/tmp"), ("TZ", "UTC"), ("PATH", "/nowhere"), ("PYTHONDONTWRITEBYTECODE", "1")):
        walls += ["--setenv", name, value]
    return [*walls, f"{home}/bin/{version}"]


class _Talk:
    """What goes in and what comes out, without waiting for a program that does not read or never stops writing."""

    def __init__(self, process: subprocess.Popen[bytes], program: bytes, ask: bytes) -> None:
        assert process.stdin and process.stdout and process.stderr
        self.process = process
        self.ask, self.word = ask, secrets.token_hex(16).encode()
        self.left = memoryview(program + ask)
        self.said, self.heard, self.seen = bytearray(), bytearray(), 0
        self.pipes = selectors.DefaultSelector()
        for pipe in (process.stdin, process.stdout, process.stderr):
            os.set_blocking(pipe.fileno(), False)
            self.pipes.register(pipe, selectors.EVENT_WRITE if pipe is process.stdin else selectors.EVENT_READ)

    def turn(self, seconds: float) -> bool:
        """Move what can be moved; whether anything was."""
        ready = self.pipes.select(max(0.0, seconds))
        for key, _ in ready:
            if key.fileobj is self.process.stdin:
                self._feed(key.fd)
            elif not (data := os.read(key.fd, 65536)):
                self.pipes.unregister(key.fileobj)
            elif key.fileobj is self.process.stdout:
                self.seen += len(data)
                self.said += data[: OUTPUT - len(self.said)]
            else:
                self.heard += data[: OUTPUT - len(self.heard)]
                self._answer()
        return bool(ready)

    def _answer(self) -> None:
        """The word, to who asks for it rightly; once."""
        if self.ask and not self.left and b"\n" + self.ask + b"\n" in self.heard:
            self.ask, self.left = b"", memoryview(self.word)
            assert self.process.stdin
            self.pipes.register(self.process.stdin, selectors.EVENT_WRITE)

    def _feed(self, fd: int) -> None:
        gone = False
        try:
            self.left = self.left[os.write(fd, self.left[:65536]) :]
        except BlockingIOError:
            pass
        except BrokenPipeError:
            gone = True
        if gone or not self.left:
            assert self.process.stdin
            self.pipes.unregister(self.process.stdin)  # and left open: its end would tell the program that there is nothing to wait for


def _watch(process: subprocess.Popen[bytes], program: bytes, ask: bytes, seconds: float, jailed: bool) -> Ending | None:
    """Feed the program, read what it says, and stop looking in time; `_end` ends it."""
    talk = _Talk(process, program, ask)
    with talk.pipes:
        deadline, up = time.monotonic() + START, False
        while talk.word not in talk.heard and talk.seen <= ENDLESS and time.monotonic() < deadline and process.poll() is None:
            talk.turn(min(0.25, deadline - time.monotonic()) if len(talk.pipes.get_map()) else 0.01)
            if not up and talk.heard.startswith(b"up\n"):
                up, deadline = True, time.monotonic() + seconds
        late = process.poll() is None
        while talk.seen <= ENDLESS and talk.turn(0) and talk.pipes.get_map():  # what was written before the end
            pass
    if not talk.heard.startswith(b"up\n"):
        return None
    how, evidence = _verdict(bytes(talk.heard), talk.word)
    if not how and talk.seen > ENDLESS:
        how, evidence = "endless", f"more than {ENDLESS // 10**6} MB of output"
    elif not how:
        how, evidence = ("timeout", f"not at its end after {seconds:g} s") if late else _gone(process.returncode)
    return Ending(how, _steady(evidence), _steady(talk.said.decode("utf-8", "replace")), jailed)


def _verdict(heard: bytes, word: bytes) -> tuple[How | Literal[""], str]:
    for line in heard.split(b"\n"):
        if line.startswith(word + b" "):
            said, _, evidence = line[len(word) + 1 :].decode("utf-8", "replace").partition(" ")
            return next(how for how in ENDINGS if how == said), evidence
    return "", ""


def _gone(code: int) -> tuple[How, str]:
    """Of a process that ended without a word; bwrap gives 128 + signal."""
    number = -code if code < 0 else code - 128
    if 0 < number < 65:
        name = signal.Signals(number).name if number in list(signal.Signals) else str(number)
        return ("timeout", "not at its end within its processor time") if number == signal.SIGXCPU else ("killed", f"ended by {name}")
    return "left", f"exit code {code} before the end of the program"


def _steady(text: str) -> str:
    """Addresses differ from run to run, and say nothing."""
    return re.sub(r"0x[0-9a-f]{6,}", "0x...", text)


def _end(process: subprocess.Popen[bytes]) -> None:
    """Kill it with all that it started: the cell's first process dies with bwrap, and the kernel ends a namespace with its first process."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    for pipe in (process.stdin, process.stdout, process.stderr):
        if pipe:
            with contextlib.suppress(BrokenPipeError):
                pipe.close()
