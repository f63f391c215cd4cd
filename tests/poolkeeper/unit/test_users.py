"""pool_passwd as text, valid names and passwords, differences between the sources of a user, and the rollback."""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from poolkeeper.core import errors
from poolkeeper.core.interrupts import in_thread
from poolkeeper.core.rollback import Rollback, all_or_nothing
from poolkeeper.decide import user_checks as decide
from poolkeeper.model import grammar, pool_passwd
from poolkeeper.model.database_users import DatabaseRole, UserRow
from poolkeeper.model.observed import Seen
from poolkeeper.model.spec import Roles
from poolkeeper.operations.user import generate_password

NAMES = st.from_regex(grammar.ROLE, fullmatch=True)
ENTRIES = st.text("ABCabc019+/=", min_size=1, max_size=20).map("AES{}".format)
LINES = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\n"), max_size=30)


@given(st.lists(LINES.filter(bool)))
def test_lines_that_are_not_changed_stay(lines: list[str]) -> None:
    text = "".join(f"{line}\n" for line in lines)
    assert pool_passwd.parse(text).text == text
    assert pool_passwd.parse(text.removesuffix("\n")).lines == tuple(lines)


@given(st.lists(LINES.filter(bool)), NAMES, ENTRIES)
def test_an_entry_is_added_and_removed_alone(lines: list[str], name: str, entry: str) -> None:
    before = pool_passwd.PoolPasswd(tuple(lines))
    after = before.with_entry(name, entry)
    assert after.entries == {**before.entries, name: entry}
    assert [line for line in after.lines if line.startswith(f"{name}:")] == [f"{name}:{entry}"]
    assert after.without(name) == before.without(name)
    assert name not in after.without(name).entries


def test_the_first_line_of_a_user_counts_and_keeps_its_place() -> None:
    users = pool_passwd.parse("a:AES1\n# by hand\n\nb:AES2\na:AES3\nab:AES4")
    assert users.entries == {"a": "AES1", "b": "AES2", "ab": "AES4"}
    assert users.with_entry("a", "AES9").text == "a:AES9\n# by hand\n\nb:AES2\nab:AES4\n"


@pytest.mark.parametrize(
    ("entry", "word"),
    [("AES" + "x" * 125, None), ("AES" + "x" * 126, "longer"), ("TEXTclear", "not AES"), ("md5" + "0" * 32, "not AES")],
)
def test_entries_that_pgpool_can_use(entry: str, word: str | None) -> None:
    mistake = pool_passwd.entry_mistake(entry)
    assert (mistake is None) if word is None else (mistake is not None and word in mistake)


@pytest.mark.parametrize("name", ["alice", "_x", "a" * 63, "Alice", "a-b", "1a", "ä" * 31, "a b", "a@b.c", "$x"])
def test_valid_user_names(name: str) -> None:
    assert decide.user_name_mistake(name) is None


@pytest.mark.parametrize(
    "name",
    [
        "",
        "a" * 64,
        "ä" * 32,
        " a",
        "a ",
        "a'b",
        'a"b',
        "a\\b",
        "#a",
        "a,b",
        "pg_x",
        "public",
        "none",
        "a\n",
        "a\tb",
        "a:b",
    ],
)
def test_invalid_user_names(name: str) -> None:
    assert decide.user_name_mistake(name)


@pytest.mark.parametrize(("name", "is_valid"), [("alice", True), ("Alice", False), ("a b", False), ("pg_x", False)])
def test_names_of_databases(name: str, is_valid: bool) -> None:
    assert (decide.database_name_mistake(name) is None) == is_valid


@pytest.mark.parametrize("password", ["x", "a:b:c", "pässwörd€", "'\"\\%s$` ;", "x" * 79, "я" * 39, "a b"])
def test_valid_passwords(password: str) -> None:
    assert decide.password_mistake(password) is None


# The last four are refused because Pgpool-II does not normalize: each logs in to PostgreSQL and not to Pgpool-II.
@pytest.mark.parametrize(
    "password",
    ["", " x", "x ", "a\nb", "a\tb", "a\0b", "x" * 80, "я" * 40, "ﬁ", "e\u0301", "a\u00a0b", "a\u00adb", "a\ufe0fb"],
)
def test_invalid_passwords(password: str) -> None:
    mistake = decide.password_mistake(password)
    assert mistake
    assert not password.strip() or password not in mistake


def test_a_generated_password_is_valid_and_new() -> None:
    made = {generate_password() for _ in range(50)}
    assert len(made) == 50
    assert not [password for password in made if decide.password_mistake(password)]


def verifier(password: str) -> str:
    """Return libpq's verifier of a password."""
    made = psycopg.pq.PGconn.connect_start(b"host=127.0.0.1 port=1").encrypt_password(
        password.encode(), b"someone", b"scram-sha-256"
    )
    return made.decode()


@given(st.text(min_size=1, max_size=30).filter(lambda text: decide.password_mistake(text) is None))
def test_a_verifier_by_libpq_belongs_to_its_password_only(password: str) -> None:
    made = verifier(password)
    assert decide.is_of_verifier(password, made)
    assert not decide.is_of_verifier(password + "x", made)


@pytest.mark.parametrize("text", ["", "md5" + "0" * 32, "SCRAM-SHA-256$4096:!$x:y", "SCRAM-SHA-256$4096:AAAA$x"])
def test_no_password_belongs_to_another_text(text: str) -> None:
    assert not decide.is_of_verifier("x", text)


VERIFIER = verifier("secret")
OWN = {
    role.name: role
    for role in (
        DatabaseRole("postgres", 10, True, True, VERIFIER),
        DatabaseRole("replicator", 11, True, False, VERIFIER),
        DatabaseRole("rewinder", 12, True, False, VERIFIER),
        DatabaseRole("poolkeeper_check", 13, True, False, VERIFIER),
        DatabaseRole("app", 14, True, False, VERIFIER, ("app",)),
    )
}
POOLED = {name: "AESsecret" for name in ("postgres", "poolkeeper_check", "app")}


def sources(
    roles: Mapping[str, DatabaseRole | None] | None = None,
    entries: Mapping[str, str] | None = None,
    passwords: Mapping[str, str] | None = None,
    copy: Mapping[str, str] | None = None,
) -> decide.UserSources:
    """Return a clean cluster with changes: a role that is None is absent; `copy` is the list of pgpool_ro."""
    file = {**POOLED, **(entries or {})}
    known = {name: role for name, role in {**OWN, **(roles or {})}.items() if role}
    clear = {name: "secret" for name in file} if passwords is None else passwords
    endpoints = {"pgpool": Seen[Mapping[str, str]](file), "pgpool_ro": Seen[Mapping[str, str]](copy or file)}
    return decide.UserSources(Seen(known), Seen(file), Seen(clear), endpoints)


def row(seen: decide.UserSources, name: str) -> UserRow:
    """Return a user's row."""
    return next(found for found in decide.rows(Roles(), seen) if found.name == name)


def test_a_clean_cluster_has_no_drift() -> None:
    rows = decide.rows(Roles(), sources())
    assert [found.name for found in rows] == sorted(OWN)
    assert not [found for found in rows if found.drift or found.undecided]


MALLORY = DatabaseRole("mallory", 99, True, False, VERIFIER)
DRIFTS = {
    "role only": (sources({"mallory": MALLORY}), "in PostgreSQL only"),
    "entry only": (sources(entries={"mallory": "AESx"}), "in pool_passwd only"),
    "may not log in": (
        sources({"mallory": DatabaseRole("mallory", 99, False, False, VERIFIER)}, {"mallory": "AESx"}),
        "does not let it log in",
    ),
    "no password": (
        sources({"mallory": DatabaseRole("mallory", 99, True, False, None)}, {"mallory": "AESx"}),
        "no password for it",
    ),
    "md5": (
        sources({"mallory": DatabaseRole("mallory", 99, True, False, "md5" + "0" * 32)}, {"mallory": "AESx"}),
        "not SCRAM-SHA-256",
    ),
    "clear entry": (sources({"mallory": MALLORY}, {"mallory": "TEXTsecret"}), "not AES-encrypted"),
    "other key": (sources({"mallory": MALLORY}, {"mallory": "AESx"}, {}), "can't be decrypted"),
    "other password": (sources({"mallory": MALLORY}, {"mallory": "AESx"}, {"mallory": "else"}), "differ"),
    "late copy": (sources({"mallory": MALLORY}, {"mallory": "AESx"}, copy=POOLED), "not taken yet by pgpool_ro"),
    "stale copy": (sources(copy={**POOLED, "mallory": "AESx"}), "not taken yet by pgpool_ro"),
}


@pytest.mark.parametrize(("seen", "words"), DRIFTS.values(), ids=DRIFTS)
def test_injected_drift_is_found_and_nothing_else(seen: decide.UserSources, words: str) -> None:
    (found,) = row(seen, "mallory").drift
    assert words in found


@pytest.mark.parametrize("name", sorted(OWN))
def test_a_missing_role_of_the_cluster_is_drift(name: str) -> None:
    assert row(sources({name: None}), name).drift


def test_a_group_role_is_no_drift() -> None:
    assert not row(sources({"readers": DatabaseRole("readers", 98, False, False, None)}), "readers").drift


def test_a_silent_source_leaves_users_undecided() -> None:
    """The user is never reported as clean, nor with a drift that no source has shown."""
    full = sources({"mallory": MALLORY}, {"mallory": "AESx"})
    silent: Seen[Mapping[str, str]] = Seen(error="silent")
    for seen in (
        decide.UserSources(Seen(error="silent"), full.entries, full.passwords, full.endpoints),
        decide.UserSources(full.roles, silent, full.passwords, full.endpoints),
        decide.UserSources(full.roles, full.entries, silent, full.endpoints),
        decide.UserSources(full.roles, full.entries, full.passwords, {"pgpool": silent}),
    ):
        found = row(seen, "mallory")
        assert not found.drift
        assert any("silent" in reason for reason in found.undecided)
    assert row(decide.UserSources(Seen(error="silent"), full.entries, silent, {}), "mallory").can_login is None


class Notes:
    """Progress that keeps its lines."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    @contextmanager
    def step(self, title: str) -> Iterator[None]:
        """Keep the title."""
        self.lines.append(title)
        yield

    def note(self, text: str) -> None:
        """Keep the line."""
        self.lines.append(text)


def roll_back(done: list[str], what: str) -> None:
    """Roll a step back: record it, and fail for the step named "stuck"."""
    done.append(what)
    if what == "stuck":
        raise errors.DatabaseUserError("it is stuck")


def walk(steps: list[str], end: BaseException | None, done: list[str], notes: Notes) -> None:
    """Run each step; the last one ends with `end`."""

    async def one_step_back(what: str) -> None:
        roll_back(done, what)

    async def work() -> None:
        async with all_or_nothing(notes) as rollback:
            for what in steps:
                with rollback.step(what, partial(one_step_back, what)):
                    if end and what == steps[-1]:
                        raise end

    asyncio.run(work())


def test_nothing_is_rolled_back_after_success() -> None:
    done: list[str] = []
    walk(["one", "two"], None, done, Notes())
    assert done == []


@pytest.mark.parametrize(
    ("end", "rolled_back"),
    [
        (errors.EngineFailed("no"), ["three", "two", "one"]),
        (errors.DeadlinePassed("no"), ["three", "two", "one"]),
        (errors.ServerRefused("it exists", code="42710"), ["two", "one"]),
        (errors.ServerRefused("without its quorum", code="01000"), ["three", "two", "one"]),
        (errors.ServerRefused("session ended", code="57P01"), ["three", "two", "one"]),
        (ValueError("a bug"), ["three", "two", "one"]),
    ],
)
def test_steps_that_may_have_been_done_are_rolled_back(end: BaseException, rolled_back: list[str]) -> None:
    done: list[str] = []
    with pytest.raises(type(end)):
        walk(["one", "two", "three"], end, done, Notes())
    assert done == rolled_back


def test_the_error_lists_the_result_of_each_step() -> None:
    end = errors.EngineFailed("no", detail="its own detail")
    with pytest.raises(errors.EngineFailed):
        walk(["one", "stuck", "three"], end, [], Notes())
    assert end.detail.splitlines() == [
        "its own detail",
        "rolled back: three",
        "NOT rolled back: stuck: it is stuck",
        "rolled back: one",
    ]


def test_an_interruption_rolls_back_and_a_second_one_does_not_stop_it() -> None:
    """After Ctrl-C the working thread ends first; Ctrl-C during the rollback is ignored."""
    done: list[str] = []
    notes = Notes()

    async def one_step_back() -> None:
        signal.raise_signal(signal.SIGINT)
        await asyncio.sleep(0)
        done.append("rolled back")

    def slow() -> None:
        signal.pthread_kill(main, signal.SIGINT)
        done.append("thread ended")

    async def work() -> None:
        async with all_or_nothing(notes) as rollback:
            with rollback.step("one", one_step_back):
                await in_thread(slow)
                await asyncio.sleep(5)

    main = threading.main_thread().ident or 0
    with pytest.raises(KeyboardInterrupt):
        asyncio.run(work())
    assert done == ["thread ended", "rolled back"]
    assert notes.lines[-1] == "rolled back: one"


def test_a_rollback_of_nothing_is_reported() -> None:
    assert asyncio.run(Rollback(Notes()).roll_back()) == ["nothing was changed"]
