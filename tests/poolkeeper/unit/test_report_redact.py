"""Redaction removes every password at any place, and keeps the text around it readable."""

from __future__ import annotations

from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from poolkeeper.model.redact import redact

SECRET = "S3CR3T"
_ANY = st.text(max_size=12)
# The blanks of libpq; other blanks of Python belong to the password.
_NO_BLANK = st.text(alphabet=st.characters(exclude_characters=" \t\n\r\f\v"), max_size=12)
_KEYS = st.sampled_from(
    ["password", "PGPASSWORD", "sslpassword", "POSTGRES_PASSWORD", "passwd", "passphrase", "sr_check_password"]
)
_SEPARATORS = st.sampled_from(["=", " = ", ": ", "=\t", " := ", " => "])


@given(_KEYS, _SEPARATORS, _NO_BLANK, _NO_BLANK, _ANY)
def test_unquoted_keyword(key: str, separator: str, head: str, tail: str, after: str) -> None:
    if not head.startswith(("'", '"')):
        assert SECRET not in redact(f"host=x {key}{separator}{head}{SECRET}{tail} {after}")


@given(_KEYS, _SEPARATORS, _ANY, _ANY, st.sampled_from("'\""), _ANY)
def test_quoted_keyword(key: str, separator: str, head: str, tail: str, mark: str, after: str) -> None:
    escaped = f"{head}{SECRET}{tail}".replace("\\", "\\\\").replace(mark, f"\\{mark}")
    assert SECRET not in redact(f"host=x {key}{separator}{mark}{escaped}{mark} {after}")


@given(_ANY, _ANY)
def test_sql(head: str, tail: str) -> None:
    escaped = f"{head}{SECRET}{tail}".replace("\\", "/").replace("'", "''")
    assert SECRET not in redact(f"CREATE ROLE app LOGIN PASSWORD '{escaped}' VALID UNTIL 'infinity'")


@given(st.sampled_from(["postgresql", "postgres", "http"]), _ANY, _ANY, _ANY)
def test_url(scheme: str, user: str, head: str, tail: str) -> None:
    password = quote(f"{head}{SECRET}{tail}", safe="", errors="replace")
    assert SECRET not in redact(f"{scheme}://{quote(user, safe='', errors='replace')}:{password}@10.8.0.20:9999/app")


@given(st.text(alphabet="ab@:/?#[]!$&'()*+=%", max_size=12))
def test_url_with_a_password_that_should_have_been_escaped(head: str) -> None:
    assert SECRET not in redact(f"postgresql://app:{head}{SECRET}@h/db")


@given(
    st.one_of(
        _ANY, st.text(alphabet="pas word=:'\"\\@/,x$*\n", max_size=30), st.just("password="), st.just("a://b:c@d")
    )
)
def test_a_second_redaction_changes_nothing(text: str) -> None:
    for candidate in (text, f"password={text}", f"x://u:{text}@h password '{text}", f"password='{text}"):
        once = redact(candidate)
        assert redact(once) == once


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("host=a password=hunter2 user=b", "host=a password=*** user=b"),
        ("host=a password='hun ter\\'2' user=b", "host=a password='***' user=b"),
        ("password=hunter\\ 2 user=b", "password=*** user=b"),
        ("postgresql://app:hunter2@10.8.0.20:9999/app?x=1", "postgresql://app:***@10.8.0.20:9999/app?x=1"),
        ("postgresql://app:hun@ter/2@h/app", "postgresql://app:***@h/app"),
        ("postgresql://:hunter2@h", "postgresql://:***@h"),
        ("a://u:p@h,a://u:q@i", "a://u:***@h,a://u:***@i"),
        ("postgresql://h/app?password=hunter2", "postgresql://h/app?password=***"),
        ('{"password": "hunter2", "user": "app"}', '{"password": "***", "user": "app"}'),
        ('{"password":"hunter2","user":"app"}', '{"password":"***","user":"app"}'),
        ("ALTER ROLE app PASSWORD 'hun''ter2'; SELECT 1", "ALTER ROLE app PASSWORD '***'; SELECT 1"),
        ("ALTER ROLE app PASSWORD $x$hunter2$x$;", "ALTER ROLE app PASSWORD '***';"),
        ("| SCRAM-SHA-256$4096:c2FsdA==$a:b |", "| SCRAM-SHA-256$*** |"),
        ("md5" + "0f" * 16, "md5***"),
        ("Authorization: Basic YXBwOmh1bnRlcjI=", "Authorization: Basic ***"),
        ("password='unfinished and cut", "password='***'"),
    ],
)
def test_the_redacted_text(text: str, shown: str) -> None:
    assert redact(text) == shown


@pytest.mark.parametrize(
    "text",
    [
        'FATAL:  password authentication failed for user "app"',
        "password_encryption = scram-sha-256",
        "pool_passwd = 'pool_passwd'",
        "GET http://10.8.0.100:8406/;csv",
        "postgresql://app@10.8.0.20:9999/app",
        "http://[::1]:8008/patroni",
        "2026-03-02 10:14:07 UTC [211] LOG:  started streaming WAL at 0/2000000",
        "md5 of the file",
    ],
)
def test_text_without_a_password_stays(text: str) -> None:
    assert redact(text) == text


@pytest.mark.timeout(10)
@pytest.mark.parametrize(
    "piece", ["a", "a.", "://a:", "password=", "'", "\\", "password='", "password '", "$$", "@", "x://u:p", ",a"]
)
def test_long_evidence_is_redacted_quickly(piece: str) -> None:
    redact(piece * 20_000)
