"""The blocks of all pages."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.pages import HOST, PAGES, ROOT, blocks, commands, compare, execute

ENVIRON = os.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}

EXECUTED = [page for page in PAGES if any(blocks(page.read_text()))]


@pytest.mark.parametrize("page", EXECUTED, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_block_of_a_page_runs(page: Path, tmp_path: Path) -> None:
    execute(page, tmp_path)


def test_one_declaration_answers_as_the_handlers_by_hand(tmp_path: Path) -> None:
    by_hand, declaration = (
        [*blocks((ROOT / "docs/tutorial" / file).read_text())]
        for file in ("01-by-hand.md", "02-one-declaration.md")
    )
    requests = [
        block
        for block in by_hand
        if block.language == "json" or (block.language == "console" and "/books" in block.text)
    ]
    assert sum(block.text.count("$ curl") for block in requests) >= 15
    page = tmp_path / "page.md"
    page.write_text(
        "".join(f"```{block.language}\n{block.text}```\n" for block in (declaration[0], *requests))
    )
    execute(page, tmp_path)


@pytest.mark.skipif(not shutil.which("curl"), reason="curl is not installed")
def test_the_commands_of_the_readme_work(tmp_path: Path) -> None:
    clone = tmp_path / "brickwork"
    made = (".git", ".venv", ".hypothesis", ".*_cache", "__pycache__", "node_modules", "build")
    shutil.copytree(ROOT, clone, ignore=shutil.ignore_patterns(*made))
    install, project, products, program, notes, *_ = blocks((ROOT / "README.md").read_text())

    shell(install.text, clone)
    folder = tmp_path / "work"
    activate = f". {folder}/.venv/bin/activate"
    *steps, start = project.text.splitlines()
    shell("\n".join((activate, *steps)), folder)
    with started(f"{activate} && exec {start}", folder / "shop") as address:
        ask(address, commands(products))

    (folder / program.title).write_text(program.text)
    (start, _), *questions = commands(notes)
    with started(f"{activate} && exec {start}", folder) as address:
        ask(address, questions)


def ask(address: str, questions: Iterable[tuple[str, str]]) -> None:
    """Call the server at *address*, and compare its responses."""
    known: dict[str, str] = {}
    for command, shown in questions:
        assert HOST in command
        compare(shown, shell(command.replace(HOST, address)), known)


def shell(script: str, folder: Path | None = None) -> str:
    ended = subprocess.run(  # noqa: S603 — what the README says
        ("/bin/sh", "-ec", script),
        cwd=folder,
        env=ENVIRON,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


@contextmanager
def started(command: str, folder: Path) -> Generator[str]:
    """Run a server on a free port, and yield its address."""
    with subprocess.Popen(  # noqa: S603 — as above
        ("/bin/sh", "-c", command),
        cwd=folder,
        env=ENVIRON | {"PORT": "0", "UVICORN_PORT": "0"},
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stderr
            lines = iter(process.stderr.readline, "")
            found = (re.search(r"running on http://(\S+)", line) for line in lines)
            yield next(match[1] for match in found if match)
        finally:
            process.terminate()
