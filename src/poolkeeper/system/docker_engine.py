"""The container engine of this machine: its state, and its start.

Invariant: an engine that answers is never touched. Not promised: a stop; a started engine keeps running.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from poolkeeper.core import errors, file_modes
from poolkeeper.system import apt, process

OWN_SOCKET = "unix:///var/run/docker.sock"
START_SECONDS = 60.0  # dockerd answers within 2 s on our machine; a slow disk with many images needs longer
_PROBE_SECONDS = 10.0
_PROGRAM_FOLDERS = ("/usr/bin", "/usr/sbin", "/usr/local/bin", "/usr/local/sbin")
_PID_FILES = (Path("/var/run/docker.pid"), Path("/var/run/docker/containerd/containerd.pid"))


@dataclass(frozen=True)
class EngineState:
    """The state of the engine, its client and Compose.

    A version is empty where that part does not answer. `complaint` is the client's error text, `chosen` the engine that
    the user selected instead of this machine's own.
    """

    client: str
    engine_version: str
    compose_version: str
    is_installed: bool
    is_refused: bool
    chosen: str
    complaint: str

    @property
    def answers(self) -> bool:
        """Whether the engine answers this user."""
        return bool(self.engine_version)

    @property
    def has_compose(self) -> bool:
        """Whether Compose is installed in version 2 or later."""
        major = self.compose_version.lstrip("v").split(".")[0]
        return major.isdigit() and int(major) >= 2


def probe() -> EngineState:
    """Return the engine's state, from two parallel calls of the client; nothing is changed."""
    client = process.find("docker") or ""
    with ThreadPoolExecutor(max_workers=1) as pool:
        asked = pool.submit(_ask, ["docker", "compose", "version", "--short"], client)
        version = _ask(["docker", "version", "--format", "{{.Server.Version}}"], client)
        compose = asked.result()
    complaint = "" if version.ok else version.output
    return EngineState(
        client=client,
        engine_version=version.stdout.strip() if version.ok else "",
        compose_version=compose.stdout.strip() if compose.ok else "",
        is_installed=any(os.access(f"{folder}/dockerd", os.X_OK) for folder in _PROGRAM_FOLDERS),
        is_refused="permission denied" in complaint.lower(),
        chosen="" if version.ok else _chosen(client),
        complaint=complaint,
    )


def init_system() -> str:
    """Return the program that starts services: "systemd", "service" or "none"."""
    if Path("/run/systemd/system").is_dir():
        return "systemd"
    with suppress(OSError):
        if _read(Path("/proc/1/comm")).strip() == "init" and process.find("service"):
            return "service"
    return "none"


def has_apparmor() -> bool:
    """Return whether the kernel enforces AppArmor: then the engine needs its parser to start any container."""
    with suppress(OSError):
        return Path("/sys/module/apparmor/parameters/enabled").read_text(encoding="utf-8").strip() == "Y"
    return False


def start(by: str, log: Path, seconds: float = START_SECONDS) -> None:
    """Start the installed engine and wait until it answers.

    `by` is a value of `init_system`; `log` is the file for dockerd's own log. If a dockerd runs, this only waits.

    Raises:
        EngineFailed: with the log's last lines, if the engine does not answer within `seconds`.
    """
    if by == "none" and running_pid() is None:
        _start_directly(log, seconds)
        return
    if by == "systemd":
        _call(["systemctl", "start", "docker"], ["journalctl", "--no-pager", "-n", "20", "-u", "docker"])
    elif by == "service":
        _call(["service", "docker", "start"], ["tail", "-n", "20", "/var/log/docker.log"])
    _wait_for_answer(seconds, lambda: "")


def running_pid() -> int | None:
    """Return the process id of this machine's dockerd (not of one inside a container); None if none runs."""
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if _read(folder / "comm").strip() == "dockerd" and _is_in_our_namespace(folder):
                return int(folder.name)
    return None


def _start_directly(log: Path, seconds: float) -> None:
    file_modes.make_folder(log.parent, file_modes.PRIVATE_FOLDER)
    os.close(file_modes.open_file(log, os.O_WRONLY | os.O_CREAT, file_modes.SHARED_FILE))
    begin = log.stat().st_size
    _remove_stale_pid_files()
    pid = process.start_detached(apt.as_root(["dockerd"]), log)

    def failure() -> str:
        return "" if _is_alive(pid) else f"dockerd ended at once (its log: {log})"

    try:
        _wait_for_answer(seconds, failure)
    except errors.EngineFailed as e:
        if _is_alive(pid):
            process.run(apt.as_root(["kill", str(pid)]))
        tail = _tail(log, begin)
        raise errors.EngineFailed(e.message, hint=_hint(tail), detail=tail) from e


def _wait_for_answer(seconds: float, failure: Callable[[], str]) -> None:
    """Wait until the engine answers or refuses this user; end early when `failure` returns a reason."""
    deadline = time.monotonic() + seconds
    while True:
        seen = _ask(["docker", "version", "--format", "{{.Server.Version}}"], "docker")
        if seen.ok or "permission denied" in seen.output.lower():
            return
        if reason := failure():
            raise errors.EngineFailed(reason)
        if time.monotonic() > deadline:
            raise errors.EngineFailed(
                f"the engine was started but did not answer within {seconds:.0f} s", detail=seen.output
            )
        time.sleep(0.1)


def _call(argv: Sequence[str], log_command: Sequence[str]) -> None:
    done = process.run(apt.as_root(argv), timeout=120)
    if not done.ok:
        log = process.run(apt.as_root(log_command), timeout=20)
        raise errors.EngineFailed(f"`{' '.join(argv)}` ended with {done.code}", detail=f"{done.output}\n{log.output}")


def _remove_stale_pid_files() -> None:
    """Remove pid files that name another program's process: after a crash, dockerd would refuse to start."""
    for path in _PID_FILES:
        with suppress(OSError, ValueError):
            comm = Path(f"/proc/{int(path.read_text(encoding='utf-8'))}/comm")
            if not comm.exists() or _read(comm).strip() not in {"dockerd", "containerd"}:
                process.run(apt.as_root(["rm", "-f", str(path)]))


def _ask(argv: Sequence[str], client: str) -> process.Finished:
    """Return the client's answer; a missing or hanging client also gives an answer."""
    if not client:
        return process.Finished(tuple(argv), 127, "", "no docker client is installed")
    try:
        return process.run(argv, timeout=_PROBE_SECONDS)
    except errors.EngineFailed as e:
        return process.Finished(tuple(argv), 124, "", e.message)


def _chosen(client: str) -> str:
    """Return the engine that DOCKER_HOST or a context selects; "" for this machine's own."""
    if host := os.environ.get("DOCKER_HOST"):
        return f"DOCKER_HOST={host}" if host != OWN_SOCKET else ""
    shown = _ask(["docker", "context", "inspect", "--format", "{{.Name}} {{.Endpoints.docker.Host}}"], client)
    name, _, host = shown.stdout.strip().partition(" ")
    return f"docker context {name} ({host})" if shown.ok and host not in {"", OWN_SOCKET} else ""


def _is_in_our_namespace(folder: Path) -> bool:
    """Return whether a process has our mount namespace; a process with an unreadable namespace counts as ours."""
    with suppress(PermissionError):
        return (folder / "ns/mnt").readlink() == Path("/proc/self/ns/mnt").readlink()
    return True


def _read(path: Path) -> str:
    """Return the text of a file in /proc; a program's name may have any bytes."""
    return path.read_text(encoding="utf-8", errors="replace")


def _is_alive(pid: int) -> bool:
    """Return whether a process has not ended and is no zombie."""
    with suppress(OSError, IndexError):
        return _read(Path(f"/proc/{pid}/stat")).rsplit(")", 1)[1].split()[0] != "Z"
    return False


def _hint(log: str) -> str:
    if "iptables" in log:
        return "The kernel may lack nf_tables; try: update-alternatives --set iptables /usr/sbin/iptables-legacy"
    if "cgroup" in log:
        return "The kernel's control groups are not mounted; mount them, or run in a machine that has them."
    return ""


def _tail(log: Path, begin: int, lines: int = 15) -> str:
    with log.open("rb") as text:
        text.seek(begin)
        return "\n".join(text.read().decode(errors="replace").splitlines()[-lines:])
