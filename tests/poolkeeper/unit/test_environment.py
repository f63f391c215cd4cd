"""The operator's shell changes no result: its variables, its umask and its locale end at the process's start."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg import pq

import poolkeeper
from poolkeeper.core import environment
from poolkeeper.model.dsn import Dsn
from poolkeeper.system import postgres

SOURCES = Path(poolkeeper.__file__).parents[1]
LIBPQ = sorted({option.envvar.decode() for option in pq.Conninfo.get_defaults() if option.envvar})
LIBPQ_ALONE = ("PGSERVICEFILE", "PGSYSCONFDIR", "PGLOCALEDIR", "PGTZ", "PGDATESTYLE", "PGGEQO")  # of no parameter
COMPOSE = ("COMPOSE_PROJECT_NAME", "COMPOSE_FILE", "COMPOSE_PROFILES", "COMPOSE_PATH_SEPARATOR", "COMPOSE_ENV_FILES")
BUILD = ("DOCKER_DEFAULT_PLATFORM", "DOCKER_CONTENT_TRUST", "DOCKER_BUILDKIT", "BUILDX_BUILDER", "BUILDKIT_PROGRESS")
KEPT = {
    "PATH": "/bin",
    "HOME": "/home/x",
    "TMPDIR": "/tmp/x",
    "DOCKER_HOST": "ssh://x",
    "DOCKER_CONTEXT": "x",
    "DOCKER_CONFIG": "/x",
    "DOCKER_CERT_PATH": "/x",
    "DOCKER_TLS_VERIFY": "1",
    "HTTPS_PROXY": "http://x",
    "NO_COLOR": "1",
    "TERM": "xterm",
    "POOLKEEPER_FILE": "x.toml",
    "POOLKEEPER_STATS_PASSWORD": "x",
}


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    """Leave the process as it was."""
    umask, locale = os.umask(0o022), os.environ.get("LC_ALL")
    yield
    os.umask(umask)
    environment._removed.clear()
    assert os.environ.get("LC_ALL") == locale


def test_libpq_reports_its_variables() -> None:
    """The list comes from libpq itself, so that the next test covers a new version's variables too."""
    assert {"PGHOST", "PGSSLMODE", "PGSERVICE", "PGOPTIONS", "PGTARGETSESSIONATTRS", "PGCHANNELBINDING"} <= set(LIBPQ)


@pytest.mark.parametrize("name", [*LIBPQ, *LIBPQ_ALONE, *COMPOSE, *BUILD, "LANGUAGE"])
def test_a_variable_that_changes_results_is_removed(name: str) -> None:
    variables = {**KEPT, name: "x"}
    environment.isolate(variables)
    assert variables == {**KEPT, "LC_ALL": "C.UTF-8"}
    assert environment.removed(name) == "x"


@pytest.mark.parametrize("locale", ["POSIX", "C", "de_DE.ISO-8859-1", "tr_TR.UTF-8", ""])
def test_the_programs_that_we_start_have_one_locale(locale: str) -> None:
    variables = {"LC_ALL": locale, "LANG": locale, "LC_MESSAGES": locale}
    environment.isolate(variables)
    assert variables["LC_ALL"] == "C.UTF-8"


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o027, 0o077, 0o777])
def test_the_umask_is_ours(umask: int) -> None:
    os.umask(umask)
    environment.isolate({})
    assert os.umask(0o022) == environment.UMASK


PRINT_STATE = """
import os, sys
from poolkeeper.cli import main
main.app = lambda: print(sorted(n for n in os.environ if n.startswith(("PG", "COMPOSE_"))), oct(os.umask(0)))
main.run()
"""


def test_the_command_line_isolates_itself_first() -> None:
    """Before any command runs."""
    shell = {**os.environ, "PYTHONPATH": str(SOURCES), **dict.fromkeys([*LIBPQ, *COMPOSE], "x")}
    argv = [sys.executable, "-c", PRINT_STATE]
    done = subprocess.run(argv, env=shell, umask=0o077, capture_output=True, encoding="utf-8", check=True)
    assert done.stdout.split() == ["[]", "0o22"]


def test_a_connection_to_our_servers_reads_no_file_of_the_home() -> None:
    """Neither ~/.pgpass nor the certificates in ~/.postgresql nor a Kerberos ticket."""
    given = postgres.parameters(Dsn("h", 1, "u", "d", "secret"))
    files = {given[key] for key in ("passfile", "sslcert", "sslkey", "sslrootcert")}
    assert len(files) == 1
    assert not os.path.lexists(files.pop())
    assert given["gssencmode"] == "disable"
    assert psycopg.conninfo.make_conninfo(**given)  # libpq knows each of them


def test_the_operators_own_connection_string_means_what_libpq_says(monkeypatch: pytest.MonkeyPatch) -> None:
    """`test --dsn` documents PGPASSWORD and PGPASSFILE; the string's own values win."""
    environment.isolate({"PGPASSWORD": "theirs", "PGPASSFILE": "/p", "PGSSLMODE": "require", "PGHOST": "elsewhere"})
    monkeypatch.delenv("PGPASSWORD", raising=False)
    monkeypatch.delenv("PGPASSFILE", raising=False)
    dsn = postgres.parse_dsn("host=h user=u sslmode=verify-full")
    assert postgres.parameters(dsn) == {
        "host": "h", "port": 5432, "user": "u", "dbname": "postgres",
        "password": "theirs", "passfile": "/p", "sslmode": "verify-full",
    }  # fmt: skip
    assert postgres.parse_dsn("host=h password=given passfile=/q").password == "given"
    assert dict(postgres.parse_dsn("host=h passfile=/q").options) == {"passfile": "/q"}
