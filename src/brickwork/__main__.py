"""`python -m brickwork`, which is what the script `brickwork` does."""

import sys


def main() -> None:
    """Run the command line, or say what it lacks."""
    try:
        from brickwork.cli.commands import commands  # noqa: PLC0415 — the library does without
    except ModuleNotFoundError as error:
        if (name := str(error.name).partition(".")[0]) not in {"typer", "rich"}:
            raise
        sys.stderr.write(f"The command line needs {name}: pip install 'brickwork[cli]'\n")
        raise SystemExit(2) from None
    commands(prog_name="brickwork")


if __name__ == "__main__":
    main()
