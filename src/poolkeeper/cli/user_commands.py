"""`user add`, `passwd`, `drop` and `list`: database users, in PostgreSQL and in Pgpool-II at once.

A password is never an argument: it comes from a hidden prompt, from standard input, or from a generator.
"""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from poolkeeper.cli import connection_lines, console, context, tables
from poolkeeper.core import errors
from poolkeeper.model.assessment import Level
from poolkeeper.report import plain

Name = Annotated[str, typer.Argument(help="As CREATE ROLE takes it in quotes; no colon, comma, quote, backslash or #.")]
Generate = Annotated[
    bool, typer.Option("--generate", help="Generate a password and print it once, on standard output.")
]
FromStdin = Annotated[bool, typer.Option("--password-stdin", help="The password is the one line of standard input.")]

HELP = """Manage database users in PostgreSQL and Pgpool-II together.

A change is made in both, or in neither.

\b
  poolkeeper user add alice --database shop     asks for the password, twice
  poolkeeper user add bob --generate            generates one, and prints it once
  pass show bob | poolkeeper user passwd bob --password-stdin
  poolkeeper user drop alice --database shop    with her database; asks first
  poolkeeper user list                          shows where PostgreSQL and Pgpool-II differ
"""


def add_to(app: typer.Typer) -> None:
    """Register these commands."""
    group = typer.Typer(
        help=HELP, no_args_is_help=True, context_settings={"help_option_names": ["-h", "--help"]}, rich_markup_mode=None
    )
    group.command()(add)
    group.command()(passwd)
    group.command()(drop)
    group.command("list")(list_users)
    app.add_typer(group, name="user")


def add(
    ctx: typer.Context,
    name: Name,
    database: Annotated[str | None, typer.Option(metavar="DB", help="Create it too; the user owns it.")] = None,
    generate: Generate = False,
    password_stdin: FromStdin = False,
) -> None:
    """Add a user that can log in through every port.

    \b
      poolkeeper user add alice --database shop
    """  # noqa: D301 - \b, which click needs, is not a mistake
    from poolkeeper.operations import user

    cluster = context.of(ctx)
    user.check_name(cluster, name)
    password = _password(generate, password_stdin)
    user.add(cluster, name, password, database, console.ConsoleSteps())
    console.err.print(connection_lines.of_user(cluster, name, database or "postgres"), markup=False)
    if generate:
        console.out.print(password, markup=False)


def passwd(ctx: typer.Context, name: Name, generate: Generate = False, password_stdin: FromStdin = False) -> None:
    """Change a user's password.

    Open sessions continue; new ones need the new password.

    For the application's role, .poolkeeper/secrets/app and .poolkeeper/pgpass change with it.

    \b
      poolkeeper user passwd alice
    """  # noqa: D301 - \b, which click needs, is not a mistake
    from poolkeeper.operations import user

    cluster = context.of(ctx)
    user.check_name(cluster, name, app_too=True)
    password = _password(generate, password_stdin)
    user.change_password(cluster, name, password, console.ConsoleSteps())
    if generate:
        console.out.print(password, markup=False)


def drop(
    ctx: typer.Context,
    name: Name,
    database: Annotated[
        str | None, typer.Option(metavar="DB", help="Drop this database of the user too, WITH ALL ITS DATA.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask before a database is dropped.")] = False,
) -> None:
    """Drop a user and end its sessions.

    A user that owns something stays, and the error lists what it owns.

    \b
      poolkeeper user drop alice --database shop
    """  # noqa: D301 - \b, which click needs, is not a mistake
    from poolkeeper.operations import user

    cluster = context.of(ctx)
    user.check_name(cluster, name)
    if database and not yes:
        loss = f"the database {database} with all its data"
        console.confirm(f"Drop {loss}?", would=f"drop {loss}")
    user.drop(cluster, name, database, console.ConsoleSteps())


def list_users(
    ctx: typer.Context, as_json: Annotated[bool, typer.Option("--json", help="For scripts.")] = False
) -> None:
    """List the users, and where PostgreSQL and Pgpool-II differ.

    It changes nothing. `user passwd` repairs a user that only PostgreSQL has, or whose passwords differ. `user drop`
    removes one that only Pgpool-II has.

    Exit code: 0 they agree, 1 they differ, 3 cannot tell.
    """
    from poolkeeper.operations import user

    rows = user.list_users(context.of(ctx))
    if as_json:
        console.print_json({"schema": 1, "users": [plain.data(row) for row in rows]})
    else:
        console.out.print(tables.users(rows))
    unknown = Level.UNKNOWN if any(row.undecided for row in rows) else Level.HEALTHY
    raise typer.Exit(int(Level.DEGRADED if any(row.has_drift for row in rows) else unknown))


def _password(generate: bool, from_stdin: bool) -> str:
    """Return the password from the source that the options name, after a check that does not need the cluster."""
    from poolkeeper.operations import user

    if generate and from_stdin:
        raise errors.UsageError("--generate and --password-stdin exclude each other")
    if generate:
        return user.generate_password()
    if not from_stdin and not sys.stdin.isatty():
        raise errors.UsageError(
            "there is no terminal to ask for the password",
            hint="--password-stdin reads it from standard input, --generate generates one and prints it.",
        )
    password = _line() if from_stdin else _asked()
    user.check_password(password)
    return str(password)


def _asked() -> str:
    """Return the password that a person types twice."""
    try:
        return str(typer.prompt("Password", hide_input=True, confirmation_prompt=True))
    except UnicodeDecodeError as e:  # Python decodes the terminal's input by the locale
        raise errors.DatabaseUserError(
            "the password has characters that this locale lacks", hint="--password-stdin reads UTF-8 in every locale."
        ) from e


def _line() -> str:
    """Return the one line of standard input."""
    try:
        return sys.stdin.read().removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError as e:
        raise errors.DatabaseUserError("the password is not UTF-8") from e
