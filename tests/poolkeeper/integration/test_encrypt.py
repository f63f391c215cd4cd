"""Pgpool-II's own tool encrypts passwords with the cluster's key: whatever is in them, the same comes out again."""

from __future__ import annotations

import base64

import pytest
from tests.poolkeeper.integration.conftest import Bench

from poolkeeper.system import images, process, state

pytestmark = pytest.mark.integration

PASSWORDS = {
    "plain": "correct horse",
    "colons": "a:b:c:",
    "quotes": 'it\'s "x" `y` $HOME $(id)',
    "backslashes": "\\n\\\\ \\",
    "signs": "#;%&|<>{}[]!?*~^=+-_,./@",
    "letters": "пароль-密码-é",
    "spaces": " in front, and behind ",
    "long": "x" * 60,
    "like_an_entry": "AESxyz==",
    "like_a_hash": "md5" + "0" * 32,
    "_a1": "generated" * 3,
}
# As Pgpool-II derives key and IV (ssl_utils.c: EVP_BytesToKey, SHA-1, one round, no salt), with another program.
DECRYPT = """
open() { openssl enc -d -aes-256-cbc -md sha1 -nosalt -a -A -pass file:/run/pool/pool_key; }
while IFS=: read -r user entry; do
    printf '%s:' "$user"
    printf '%s' "${entry#AES}" | open | base64 -w 0
    echo
done
"""


def _decrypt(bench: Bench, folder: state.State, entries: str) -> dict[str, str]:
    flags = ["--rm", "-i", "--network", "none", "-v", f"{folder.pool_key.parent}:/run/pool:ro", "--entrypoint", "sh"]
    done = process.run(["docker", "run", *flags, bench.images["postgres"], "-c", DECRYPT], stdin=entries)
    pairs = (line.split(":") for line in done.stdout.splitlines())
    return {user: base64.b64decode(text).decode(errors="replace") for user, text in pairs}


def test_every_password_is_decrypted_unchanged(bench: Bench) -> None:
    """The file has one AES-encrypted entry for each user, in order, and no clear text."""
    entries = images.encrypt_passwords(bench.images["pgpool"], bench.folder, PASSWORDS)
    lines = entries.splitlines()
    assert [line.split(":")[0] for line in lines] == list(PASSWORDS)
    assert all(line.split(":")[1].startswith("AES") for line in lines)
    assert not [password for password in PASSWORDS.values() if password in entries]
    assert _decrypt(bench, bench.folder, entries) == PASSWORDS


def test_another_key_opens_nothing(bench: Bench) -> None:
    """The test of the decryption can fail."""
    entries = images.encrypt_passwords(bench.images["pgpool"], bench.folder, PASSWORDS)
    other = state.State(bench.folder.root / "other")
    state.prepare(other)
    assert not set(_decrypt(bench, other, entries).items()) & set(PASSWORDS.items())
