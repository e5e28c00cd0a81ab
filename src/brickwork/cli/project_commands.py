"""Commands: new, resource, schemas and migrate."""

import shlex
import traceback
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Final, NoReturn

import typer
from pydantic import ValidationError
from sqlalchemy.exc import DBAPIError

from brickwork.cli.errors import UsageError
from brickwork.cli.loading import import_model
from brickwork.scaffold.errors import ScaffoldError, file_text, settings_text
from brickwork.scaffold.field_types import usage
from brickwork.scaffold.interrupts import interruptible
from brickwork.scaffold.migration_process import MigrationFailure
from brickwork.scaffold.project_lock import locked_project
from brickwork.scaffold.projects import DatabaseKind, create_project
from brickwork.scaffold.resources import ResourceOptions, add_resource
from brickwork.scaffold.schemas import schemas_of_model

project_commands: Final = typer.Typer()

_TOOLS: Final = {"alembic", "inflect", "jinja2", "ruff"}
"""The packages of the extra `cli` that only these commands need."""

_EXIT_USAGE: Final = 2
_EXIT_FAILURE: Final = 3
_EXIT_INTERRUPTED: Final = 130


@project_commands.command(short_help="Make a project that runs and passes its tests.")
def new(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Its name, as in shop or my-shop.")],
    *,
    database: Annotated[
        DatabaseKind, typer.Option("--database", help="The default database of the service.")
    ] = "sqlite",
    folder: Annotated[
        Path | None, typer.Option("--folder", help="Its folder; a new one called NAME by default.")
    ] = None,
) -> None:
    """Make a project that runs and passes its tests, without resources."""
    with _reported():
        target = folder or Path(name)
        package = create_project(name, target, database)
        typer.echo(f"Made {target}, with the package {package}. Go on:")
        typer.echo(f"    cd {shlex.quote(str(target))}")
        typer.echo(
            "    make run    # installs the project first, into the active environment or .venv"
        )
        typer.echo("    brickwork resource Product name:str 'price:decimal(10,2)' sku:str:unique")


@project_commands.command(
    short_help="Add a resource: model, schemas, endpoints, tests.",
    epilog=f"Types: {usage()}. A question mark after the type makes the field optional. After a "
    "colon: optional, unique, index, default=VALUE.",
)
def resource(  # noqa: PLR0913 — the options of a command
    model: Annotated[
        str, typer.Argument(metavar="MODEL", help="Its model in the singular, as in OrderLine.")
    ],
    fields: Annotated[
        list[str], typer.Argument(metavar="FIELDS", help="NAME:TYPE, as in name:str:unique.")
    ],
    *,
    plural: Annotated[
        str | None, typer.Option("--plural", help="The name of the table, as in order_lines.")
    ] = None,
    soft_delete: Annotated[
        bool, typer.Option("--soft-delete", help="Keep deleted rows, to restore them.")
    ] = False,
    versioned: Annotated[
        bool, typer.Option("--versioned", help="Count the changes of a row, against lost updates.")
    ] = False,
    audited: Annotated[
        bool, typer.Option("--audited", help="Keep the history of each row.")
    ] = False,
    timestamps: Annotated[
        bool, typer.Option("--timestamps/--no-timestamps", help="Have created_at and updated_at.")
    ] = True,
    migration: Annotated[
        bool, typer.Option("--migration/--no-migration", help="Write the migration.")
    ] = True,
) -> None:
    """Add a resource to the project in this folder: model, schemas, endpoints, migration, tests."""
    chosen = {
        "Timestamped": timestamps,
        "Versioned": versioned,
        "SoftDelete": soft_delete,
        "Audited": audited,
    }
    mixins = [name for name, is_chosen in chosen.items() if is_chosen]
    with _reported():
        folder = Path.cwd()
        options = ResourceOptions(plural, mixins, migration)
        added = add_resource(folder, model, fields, options)
        for path in (*added.written, *([added.migration] if added.migration else [])):
            typer.echo(f"wrote   {path.relative_to(folder)}")
        for path in added.changed:
            typer.echo(f"changed {path.relative_to(folder)}")
        if not added.is_protected:
            typer.echo("Its endpoints need no token: resource.py has no ProtectedResource.")
        if added.migration:
            typer.echo("Read the migration, and run brickwork migrate.")
        elif migration:
            typer.echo(
                "Wrote no migration: the earlier ones make the table. Run brickwork migrate."
            )
        else:
            typer.echo(f'Write the migration: brickwork migrate --make "add {added.rows}".')


@project_commands.command()
def schemas(
    model: Annotated[
        str,
        typer.Argument(metavar="MODULE:MODEL", help="A mapped class: shop.models:Product."),
    ],
) -> None:
    """Print the schemas and the query of a model that exists."""
    with _reported():
        try:
            source = schemas_of_model(import_model(model), Path.cwd() / "schemas.py")
        except TypeError as error:
            raise UsageError(str(error)) from None
        typer.echo(source, nl=False)


@project_commands.command(short_help="Run the migrations that the database lacks.")
def migrate(
    *,
    make: Annotated[
        str | None,
        typer.Option(
            "--make",
            metavar="MESSAGE",
            help="Write a migration of what changed in the models, and run nothing.",
        ),
    ] = None,
    database_url: Annotated[
        str | None,
        typer.Option("--database-url", metavar="URL", help="Another database than env.py's."),
    ] = None,
) -> None:
    """Run the migrations of this folder that the database does not have."""
    with _reported():
        if make is None:
            _upgrade(database_url)
        else:
            _make_migration(make, database_url)


def _upgrade(database_url: str | None) -> None:
    from brickwork.migrations import upgrade  # noqa: PLC0415 — Alembic is an extra

    ran = upgrade(Path.cwd(), database_url)
    for script in ran:
        typer.echo(f"ran {Path(script.path).name}")
    count = "1 migration" if len(ran) == 1 else f"{len(ran)} migrations"
    typer.echo(f"{count} ran." if ran else "The database has every migration.")


def _make_migration(message: str, database_url: str | None) -> None:
    from brickwork.migrations import make_migration  # noqa: PLC0415 — Alembic is an extra

    if not message.strip():
        raise UsageError("--make needs a message, which names the migration.")
    with locked_project(Path.cwd()):
        path = make_migration(Path.cwd(), message, database_url)
    if path is None:
        typer.echo("No changes: the models are as the database is.")
        return
    shown = path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
    typer.echo(f"wrote {shown}")
    typer.echo("Read it, and run brickwork migrate.")


@contextmanager
def _reported() -> Generator[None]:
    """Exit with one line if the block raises an expected error, or after a signal."""
    try:
        with interruptible():
            yield
    except typer.Exit:
        raise
    except KeyboardInterrupt:
        _fail("Interrupted.", _EXIT_INTERRUPTED)
    except Exception as error:  # noqa: BLE001 — Python would exit with 1, the code for rejected rows
        if found := _expected(error):
            _fail(*found)
        traceback.print_exc()
        raise typer.Exit(_EXIT_FAILURE) from None


def _expected(error: Exception) -> tuple[str, int] | None:  # noqa: PLR0911 — a table of errors
    """Return the line about an expected error, and the exit status. None for another error."""
    match error:
        case ModuleNotFoundError() if (name := str(error.name).partition(".")[0]) in _TOOLS:
            return f"This command needs {name}: pip install 'brickwork[cli]'", _EXIT_USAGE
        case MigrationFailure():
            return str(error), _EXIT_FAILURE
        case ScaffoldError() | UsageError():
            return str(error), _EXIT_USAGE
        case ValidationError():
            return settings_text(error), _EXIT_USAGE
        case DBAPIError():
            return _database_text(error.orig), _EXIT_FAILURE
        case FileNotFoundError(errno=None):  # of ours
            return str(error), _EXIT_USAGE
        case OSError():
            return file_text(error, Path.cwd()) or _database_text(error), _EXIT_FAILURE
        case _ if text := _alembic_text(error):
            return text, _EXIT_USAGE
        case _:
            return None


def _database_text(cause: object) -> str:
    remedy = "Start or create the database, or correct its URL."
    return f"Error of the database: {cause}. {remedy}"


def _alembic_text(error: Exception) -> str | None:
    """Return the text of an error of Alembic. None for another error."""
    kinds = {f"{kind.__module__}.{kind.__name__}" for kind in type(error).__mro__}
    if "alembic.util.exc.CommandError" not in kinds:  # Alembic may not be installed
        return None
    if "not up to date" in str(error):
        return "The database lacks a migration: run brickwork migrate first."
    return str(error)


def _fail(text: str, code: int) -> NoReturn:
    typer.echo(text, err=True)
    raise typer.Exit(code)
