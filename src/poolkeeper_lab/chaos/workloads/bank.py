"""Money moves between accounts at the read-write endpoint; every endpoint shows snapshots of all accounts.

Accounts are always touched in one order, so that transfers wait for each other and never lock each other out. A
transfer that an account cannot pay is rolled back by the client.
"""

from __future__ import annotations

import random

from poolkeeper.model.endpoint_keys import BALANCED, RO, RW
from poolkeeper_lab.chaos.checkers import bank_checker
from poolkeeper_lab.chaos.history.history import Workload
from poolkeeper_lab.chaos.workloads import job
from poolkeeper_lab.chaos.workloads.job import ClientRole, WorkloadJob
from poolkeeper_lab.chaos.workloads.workload_client import WorkloadClient
from poolkeeper_lab.drill.link import Answer

CLIENTS = 2
ACCOUNTS = ("a", "b", "c", "d", "e")
BALANCE = 100  # of each at first
MOST = 20  # in one transfer
READ_PACE = 0.25  # seconds, at each endpoint


def change(table: str, account: str, amount: int) -> str:
    """Return the SQL of one half of a transfer; no balance falls below zero."""
    changed = f"balance {'-' if amount < 0 else '+'} {abs(amount):d}"
    return f"UPDATE {table} SET balance = {changed} WHERE account = '{account}' AND {changed} >= 0"


def halves(table: str, payer: str, payee: str, amount: int) -> list[str]:
    """Return the SQL of both halves in the order of the accounts."""
    return [change(table, account, by) for account, by in sorted([(payer, -amount), (payee, amount)])]


def was_changed(answer: Answer) -> bool:
    """Return whether that half was applied."""
    return answer.tag == "UPDATE 1"


def balances(table: str) -> str:
    """Return the SQL of a snapshot: one statement, one row."""
    return f"SELECT json_object_agg(account, balance) FROM {table}"


def made(name: str) -> WorkloadJob:
    """Return the job."""
    table = job.table(name)
    rows = ", ".join(f"('{account}', {BALANCE:d})" for account in ACCOUNTS)

    def transfer(client: WorkloadClient, chance: random.Random) -> None:
        payer, payee = chance.sample(ACCOUNTS, 2)
        amount = chance.randint(1, MOST)
        value = {"from": payer, "to": payee, "amount": amount}
        sql = halves(table, payer, payee, amount)
        client.transaction(bank_checker.TRANSFER, value, "READ COMMITTED", sql, lambda _: None, was_changed)

    def read(client: WorkloadClient, _: random.Random) -> None:
        client.single(bank_checker.READ, None, balances(table), job.json_of)

    return WorkloadJob(
        name,
        Workload("bank", {"accounts": list(ACCOUNTS), "total": BALANCE * len(ACCOUNTS)}),
        (
            f"CREATE TABLE {table} (account text PRIMARY KEY, balance bigint NOT NULL)",
            f"INSERT INTO {table} VALUES {rows}",
        ),
        (
            *(ClientRole(RW, transfer, job.TRANSACTION_PACE) for _ in range(CLIENTS)),
            *(ClientRole(endpoint, read, READ_PACE) for endpoint in (RW, RO, BALANCED)),
        ),
    )
