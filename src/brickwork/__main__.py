"""The command line as `python -m brickwork`."""

import sys


def main() -> None:
    """Run the command line. Exit with 2 if a package is missing."""
    try:
        from brickwork.cli.commands import commands  # noqa: PLC0415 — the library does not need it
    except ModuleNotFoundError as error:
        if (name := str(error.name).partition(".")[0]) not in {"typer", "rich"}:
            raise
        sys.stderr.write(f"The command line needs {name}: pip install 'brickwork[cli]'\n")
        raise SystemExit(2) from None
    commands(prog_name="brickwork")


if __name__ == "__main__":
    main()
