"""Standard input, output and error: open, in UTF-8 where the operator did not choose, and never a reason to fail.

Invariant: no character that Poolkeeper prints raises an error, whatever the stream's encoding; a reader that closes its
end (as with `| head`) ends the command without a message.
"""

from __future__ import annotations

import codecs
import io
import os
import sys

# What a stream with another encoding shows instead.
PLAIN = {
    "…": "...", "→": "->", "←": "<-", "✔": "+", "✘": "x", "✓": "+", "✗": "x", "–": "-", "—": "-", "×": "x", "·": "-",
    "•": "*", "≤": "<=", "≥": ">=", "≈": "~", "±": "+-", "µ": "u", "“": '"', "”": '"', "’": "'",
}  # fmt: skip
HANDLER = "poolkeeper-plain"


def plain(error: UnicodeError) -> tuple[str, int]:
    """Replace the characters that an encoding lacks by plain ones (an error handler of `codecs`)."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    text = "".join(PLAIN.get(character, "?") for character in error.object[error.start : error.end])
    return text, error.end


def prepare() -> None:
    """Open the standard streams that are closed, and let none of them raise an error of encoding.

    A file that is opened later would otherwise get the number of the closed stream, and another program would write its
    output into it.
    """
    codecs.register_error(HANDLER, plain)
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest free number, which is this one
            os.set_inheritable(number, True)
    sys.stdin = sys.stdin or os.fdopen(0, encoding="utf-8", closefd=False)
    sys.stdout = sys.stdout or os.fdopen(1, "w", encoding="utf-8", closefd=False)
    sys.stderr = sys.stderr or os.fdopen(2, "w", encoding="utf-8", closefd=False)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=HANDLER)
    if isinstance(sys.stdin, io.TextIOWrapper) and not sys.stdin.isatty():
        sys.stdin.reconfigure(encoding="utf-8", errors="strict")  # a password is the same in every locale


def finish() -> None:
    """Write the rest of the output; a reader that is gone is no error.

    Raises:
        OSError: the output could not be written, for example because the disk is full.
    """
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        end_quietly()
    except OSError:
        end_quietly()
        raise


def end_quietly() -> None:
    """Prevent a second error at exit after the reader of standard output has closed it (as with `| head`)."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
