"""The fence: a user's program that turns a machine off; its exit code 0 is the proof.

Invariant: only an exit code of 0 within the deadline is a proof; a program that cannot be started, fails or hangs
proves nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shlex
import signal

from poolkeeper.core import errors


def argv(command: str, node: str) -> list[str]:
    """Return the words of `keeper.fence_command`, with `{node}` replaced."""
    return [word.replace("{node}", node) for word in shlex.split(command)]


async def run(command: str, node: str, timeout: float) -> None:
    """Run the program, and return if it proves that the node's machine is off.

    Raises:
        Unreachable: if the program could not be started or did not end within `timeout` seconds.
        ServerRefused: with the exit code, if it is not 0.
    """
    try:
        process = await asyncio.create_subprocess_exec(
            *argv(command, node),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,
        )
    except OSError as e:
        raise errors.Unreachable(f"the fence command cannot be run: {e}") from e
    try:
        output, _ = await asyncio.wait_for(process.communicate(), timeout)
    except TimeoutError as e:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # with its child processes
        await process.wait()
        raise errors.Unreachable(f"the fence command did not end within {timeout:.0f} s") from e
    if process.returncode != 0:
        text = " ".join(output.decode(errors="replace").split())[:200]
        raise errors.ServerRefused(
            f"the fence command ended with {process.returncode}: {text}", code=str(process.returncode)
        )
