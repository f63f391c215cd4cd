"""Run other programs.

Invariant: a password is never in an argument list; it is passed by standard input or in a file of mode 0600.
"""

from __future__ import annotations

import shutil
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from poolkeeper.core import errors

_INTERRUPTED = (-signal.SIGINT, 128 + signal.SIGINT)  # ended by the signal; or by its handler, as docker does


@dataclass(frozen=True)
class Finished:
    """A program that ended: its exit code and its output."""

    argv: tuple[str, ...]
    code: int
    stdout: str
    stderr: str

    @property
    def ok(self) -> bool:
        """Whether the exit code is 0."""
        return self.code == 0

    @property
    def output(self) -> str:
        """The output of both channels, the errors last."""
        return "\n".join(part.strip() for part in (self.stdout, self.stderr) if part.strip())


def find(program: str) -> str | None:
    """Return the path of a program, or None."""
    return shutil.which(program)


def run(
    argv: Sequence[str],
    *,
    stdin: str | None = None,
    timeout: float = 600,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
) -> Finished:
    """Run a program to its end, with any exit code; `timeout` is in seconds.

    Raises:
        EngineFailed: if the program does not exist or does not end in time.
    """
    try:
        done = subprocess.run(
            list(argv),
            input=stdin,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=timeout,
            env=dict(env) if env is not None else None,
            cwd=cwd,
            check=False,
            stdin=subprocess.DEVNULL if stdin is None else None,
        )
    except FileNotFoundError as e:
        raise errors.EngineFailed(f"the program {argv[0]} is not installed") from e
    except subprocess.TimeoutExpired as e:
        raise errors.EngineFailed(f"{' '.join(argv[:4])} … did not end within {timeout:.0f} s") from e
    return Finished(tuple(argv), done.returncode, done.stdout, done.stderr)


def check(argv: Sequence[str], *, stdin: str | None = None, timeout: float = 600, what: str = "") -> str:
    """Run a program that must succeed; return its standard output.

    Ctrl-C in a terminal reaches both this process and the program. The program may end first, so its end by SIGINT is
    an interruption here, not a failure of the engine.

    Raises:
        EngineFailed: with the last lines of its output, if the exit code is not 0.
        KeyboardInterrupt: if SIGINT ended the program.
    """
    done = run(argv, stdin=stdin, timeout=timeout)
    if done.code in _INTERRUPTED:
        raise KeyboardInterrupt
    if not done.ok:
        name = what or " ".join(argv[:4])
        raise errors.EngineFailed(f"{name} ended with {done.code}", detail=_tail(done.output))
    return done.stdout


def run_together(jobs: Sequence[tuple[Sequence[str], str]], timeout: float) -> list[Finished]:
    """Run programs in parallel, each with its standard input; return all of them, with any exit code.

    The terminal's Ctrl-C does not reach them; they are killed when the caller is interrupted.

    Raises:
        EngineFailed: if a program does not end within `timeout` seconds.
    """
    children: list[subprocess.Popen[str]] = []
    with ThreadPoolExecutor(max_workers=max(1, len(jobs))) as pool:
        try:
            for argv, _ in jobs:
                children.append(_piped(argv))
            ends = [pool.submit(c.communicate, text, timeout) for c, (_, text) in zip(children, jobs, strict=True)]
            outputs = [end.result() for end in ends]
        except subprocess.TimeoutExpired as e:
            raise errors.EngineFailed(f"{' '.join(jobs[0][0][:4])} … did not end within {timeout:.0f} s") from e
        finally:
            for child in children:
                child.kill()
                child.wait()
    return [
        Finished(tuple(argv), child.returncode, out, err)
        for child, (argv, _), (out, err) in zip(children, jobs, outputs, strict=True)
    ]


def _piped(argv: Sequence[str]) -> subprocess.Popen[str]:
    pipe = subprocess.PIPE
    return subprocess.Popen(
        list(argv), stdin=pipe, stdout=pipe, stderr=pipe, encoding="utf-8", errors="replace", start_new_session=True
    )


def stream(argv: Sequence[str]) -> Iterator[str]:
    """Run a program and yield each line of its output (both channels); end it when the reader stops."""
    with subprocess.Popen(
        list(argv), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, encoding="utf-8", errors="replace", bufsize=1
    ) as child:
        assert child.stdout is not None
        try:
            yield from (line.rstrip("\n") for line in child.stdout)
        finally:
            if child.poll() is None:
                child.terminate()


@contextmanager
def running(argv: Sequence[str]) -> Iterator[int]:
    """Run a program during the block, then kill it; yield its process id. The terminal's Ctrl-C does not reach it."""
    with subprocess.Popen(list(argv), stdin=subprocess.DEVNULL, start_new_session=True) as child:
        try:
            yield child.pid
        finally:
            child.kill()


def start_detached(argv: Sequence[str], log: Path) -> int:
    """Start a program in its own session with its output in `log`; return its process id."""
    with log.open("ab") as out:
        child = subprocess.Popen(
            list(argv), stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True, cwd="/"
        )
    return child.pid


def _tail(text: str, lines: int = 25) -> str:
    return "\n".join(text.splitlines()[-lines:])
