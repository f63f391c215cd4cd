"""The operator's shell must not change Poolkeeper's results: `isolate` makes the process independent of it.

Every entry point calls it once, first. Then this process and every program that it starts have the same umask, locale
and variables, whatever the shell exports. The operator's choice of an engine stays (`DOCKER_HOST`, `DOCKER_CONTEXT`,
`DOCKER_CONFIG` and the rest of Docker's connection), and so do `PATH`, `HOME`, `TMPDIR`, the proxies and the terminal's
settings. docs/decisions/0031-the-operators-environment.md has the reasons.
"""

from __future__ import annotations

import os
from collections.abc import MutableMapping

UMASK = 0o022
LOCALE = "C.UTF-8"  # the output of other programs is parsed: their messages in English, their text in UTF-8
# PG: every variable that libpq reads has this prefix, also a future one; we give each connection its parameters.
# COMPOSE_: they change the project's name, its files and its profiles. BUILDX_, BUILDKIT_: they select another builder,
# which does not put the image into the engine.
PREFIXES = ("PG", "COMPOSE_", "BUILDX_", "BUILDKIT_")
NAMES = frozenset(
    {
        "DOCKER_BUILDKIT",
        "DOCKER_CONTENT_TRUST",  # our images have no signature
        "DOCKER_CONTENT_TRUST_SERVER",
        "DOCKER_DEFAULT_PLATFORM",
        "LANGUAGE",  # gettext's: it would win against LC_ALL
    }
)
_removed: dict[str, str] = {}


def is_foreign(name: str) -> bool:
    """Tell whether a variable of the shell would change what Poolkeeper or a program that it starts does."""
    return name.startswith(PREFIXES) or name in NAMES


def isolate(variables: MutableMapping[str, str] = os.environ) -> None:
    """Remove the variables that change our results, and set the umask and the locale of this process's programs."""
    for name in [name for name in variables if is_foreign(name)]:
        _removed[name] = variables.pop(name)
    variables["LC_ALL"] = LOCALE
    os.umask(UMASK)


def removed(name: str) -> str:
    """Return a variable's value from before `isolate`, "" if it had none.

    Only for a connection string of the operator's own, where `--help` names the variable.
    """
    return os.environ.get(name) or _removed.get(name, "")
