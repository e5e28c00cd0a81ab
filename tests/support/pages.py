"""Executes the blocks of Markdown pages.

`python -m tests.support.pages PAGE` executes a page in the current folder. The blocks of a page run
from top to bottom and share their names, their files and their server. What a block does depends
on its language:

- `python` runs; a top-level `await` is allowed. With `title="main.py"` it is also saved as a file.
- `console` has commands behind `$`, each followed by its output. `uvicorn main:app` serves the
  `app` of the page, and `uvicorn --factory examples.shop.main:create_app` an example. `curl` sends
  requests to it, `make` is a dry run, and a shell runs the rest.
- `sh` has commands alone.
- `json` is the body of the last response.
- Any language with a title is a file, and with `title="main.py (continued)"` the end of a file.
- `diff` with the title of another file changes it, in the places between `@@`. The next
  `uvicorn main:app` serves the files in a process, because a model cannot be mapped twice.

A line of output may be elided with `…`, several lines with a line of `…`. A UUID, a time or a
cursor stands for any other. A command that repeats one sends the actual value of the service.

A block within an HTML comment runs, too. A comment `not run: …` before a block is the reason why
the block is skipped. A block of another language is an error.
"""

import ast
import asyncio
import inspect
import json
import multiprocessing
import os
import re
import shlex
import sys
import warnings
from argparse import ArgumentParser
from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any, Final

from httpx2 import AsyncClient, Response
from markdown_it import MarkdownIt
from markdown_it.token import Token

from tests.support.page_files import is_change, save_block
from tests.support.server import serving, serving_process

ROOT: Final = Path(__file__).parents[2]

PAGES: Final = sorted(
    [
        *ROOT.glob("*.md"),
        *ROOT.glob("docs/**/*.md"),
        *ROOT.glob("examples/**/*.md"),
        *ROOT.glob("benchmarks/*.md"),
    ]
)

HOST: Final = "localhost:8000"

_VALUE: Final = re.compile(
    r"(?P<uuid>[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})"
    r"|(?<=cursor=)(?P<cursor>[\w-]{64,})"
    r"|(?P<time>\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:\.\d+)?(?:Z| UTC)?)"
)
_TOKEN: Final = re.compile(rf"(?P<lines>^…$)|(?P<any>…)|{_VALUE.pattern}", re.MULTILINE)
_PATTERNS: Final = {
    "uuid": r"[0-9a-f-]{36}",
    "time": r"\d{4}-\d\d-\d\d[T ][\d:.]+(?:Z| UTC)?",
    "cursor": r"[\w-]{64,}",
    "any": r"[^\n]*",
    "lines": r"(?s:.*)",
}


@dataclass(frozen=True)
class Block:
    """A fenced block of a page."""

    line: int
    language: str
    title: str
    text: str
    not_run: str | None
    """The reason why the block is skipped. None: it is executed."""


def blocks(text: str) -> Iterator[Block]:
    """Yield the blocks of the Markdown *text*, hidden blocks included."""
    return _blocks(MarkdownIt().parse(text), offset=1)


def _blocks(tokens: list[Token], offset: int) -> Iterator[Block]:
    reason = None
    for token in tokens:
        line = (token.map or [0])[0] + offset
        if token.type in {"fence", "code_block"}:
            language, _, rest = token.info.partition(" ")
            title = re.search(r'title="([^"]+)"', rest)
            yield Block(line, language, title[1] if title else "", token.content, reason)
        elif token.type == "html_block" and (comment := _comment(token.content)) is not None:
            yield from _blocks(MarkdownIt().parse(comment), line)
            if found := re.match(r"\s*not run:(.*)", comment, re.DOTALL):
                reason = found[1].strip()
                continue
        reason = None


def _comment(html: str) -> str | None:
    found = re.fullmatch(r"\s*<!--(.*)-->\s*", html, re.DOTALL)
    return found[1] if found else None


def links(text: str) -> Iterator[str]:
    """Yield the targets of the links and images in the Markdown *text*."""
    return _links(MarkdownIt().enable("table").parse(text))


def _links(tokens: list[Token]) -> Iterator[str]:
    for token in tokens:
        yield from (str(token.attrs[key]) for key in ("href", "src") if key in token.attrs)
        yield from _links(token.children or [])


def execute(page: Path, folder: Path) -> None:
    """Execute *page* in *folder*, in a separate process without other models."""
    _PROCESSES.set_forkserver_preload([__name__, "brickwork", "fastapi.testclient"])
    output = folder / ".output"
    process = _PROCESSES.Process(target=_execute, args=(page, folder, output))
    process.start()
    process.join()
    assert process.exitcode == 0, output.read_text()


_PROCESSES: Final = multiprocessing.get_context("forkserver")
"""Processes begin with the library imported, which takes half a second."""


def _execute(page: Path, folder: Path, output: Path) -> None:
    os.chdir(folder)
    os.environ["PYTHONPATH"] = f"{ROOT / 'src'}{os.pathsep}{ROOT}"
    sys.path.insert(0, "")
    with output.open("w") as file:
        for stream in (1, 2):
            os.dup2(file.fileno(), stream)
    warnings.simplefilter("error")
    asyncio.run(Page(page).run())


def commands(block: Block) -> Iterator[tuple[str, str]]:
    """Yield the commands of a `console` or `sh` *block*, each with its displayed output."""
    text = block.text.replace("\\\n", " ")
    if block.language == "sh":
        yield from ((line, "") for line in text.splitlines() if line.strip())
        return
    assert text.startswith("$ "), "A console block starts with a command behind `$`."
    for part in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
        command, _, output = part.partition("\n")
        yield command, output


def compare(shown: str, output: str, known: dict[str, str]) -> None:
    """Fail unless *output* matches *shown*; add its UUIDs and times to the *known* ones."""
    shown, output = (
        "\n".join(line.rstrip() for line in text.strip().splitlines()) for text in (shown, output)
    )
    names: dict[str, str] = {}
    pattern, end = "", 0
    for token in _TOKEN.finditer(shown):
        pattern += re.escape(shown[end : token.start()])
        value, kind, end = token[0], str(token.lastgroup), token.end()
        if value in known:
            pattern += re.escape(known[value])
        elif value in names:
            pattern += f"(?P={names[value]})"
        elif kind in {"uuid", "time", "cursor"}:
            names[value] = f"value{len(names)}"
            pattern += f"(?P<{names[value]}>{_PATTERNS[kind]})"
        else:
            pattern += _PATTERNS[kind]
    found = re.fullmatch(pattern + re.escape(shown[end:]), output)
    assert found, f"The page shows\n{shown}\n\nand the output is\n{output}"
    known.update((value, found[name]) for value, name in names.items())
    assert len({*known.values()}) == len(known), f"The page shows {shown}, and not {output}"


@dataclass
class Page:
    """A page while its blocks run."""

    path: Path
    module: ModuleType = field(default_factory=lambda: ModuleType("main"))
    known: dict[str, str] = field(default_factory=dict[str, str])
    """The UUIDs and times on the page, each with the actual value."""
    client: AsyncClient | None = None
    last: Response | None = None
    changed: bool = False
    """Whether a `diff` has changed the program, so that `module` is an earlier one."""
    stack: AsyncExitStack = field(default_factory=AsyncExitStack)

    async def run(self) -> None:
        """Execute the blocks; raise the error of a block with a note of its line."""
        # Not patch.dict, which would also remove the modules that were imported meanwhile.
        sys.modules["main"] = self.module
        try:
            async with self.stack:
                for block in blocks(self.path.read_text()):
                    try:
                        await self._run(block)
                    except BaseException as error:
                        error.add_note(f"{self.path.name}, the block at line {block.line}")
                        raise
        finally:
            del sys.modules["main"]

    async def _run(self, block: Block) -> None:
        if block.not_run is not None:
            assert block.not_run, "Give the reason why it is not run."
            return
        if block.title:
            save_block(block.language, block.title, block.text)
        match block.language:
            case "diff" if is_change(block.language, block.title):
                self.changed = True
            case "python" if block.title and self.changed:
                pass  # the process of the server runs it
            case "python":
                await self._python(block)
            case "console" | "sh":
                for command, shown in commands(block):
                    await self._command(command, shown)
            case "json":
                assert self.last, "No answer precedes it."
                shown, body = (json.loads(text) for text in (block.text, self.last.text))
                compare(_as_text(shown), _as_text(body), self.known)
            case language:
                assert block.title, f"A block of {language or 'no language'} cannot be executed."

    async def _python(self, block: Block) -> None:
        source = "\n" * block.line + block.text  # so that a traceback names the line of the page
        flags = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
        code = compile(source, self.path, "exec", flags=flags, dont_inherit=True)
        result: Any = eval(code, self.module.__dict__)  # noqa: S307 — a page of ours
        if inspect.iscoroutine(result):
            await result

    async def _command(self, command: str, shown: str) -> None:
        for value in _VALUE.finditer(command):
            actual = self.known.setdefault(value[0], value[0])
            command = command.replace(value[0], actual)
        match shlex.split(command, comments=True):
            case ["uvicorn", target]:
                name, _, attribute = target.partition(":")
                assert name == self.module.__name__, "Only the program of the page can be served."
                if self.changed:
                    await self._serve(serving_process(target))
                else:
                    await self._serve(serving(getattr(self.module, attribute)))
                output = ""
            case ["uvicorn", "--factory", target]:
                name, _, attribute = target.partition(":")
                await self._serve(serving(getattr(import_module(name), attribute)()))
                output = ""
            case ["curl", *arguments]:
                output = await self._curl(arguments)
            case ["make", *arguments]:
                output = await _shell(shlex.join(["make", "-n", "-C", str(ROOT), *arguments]))
            case _:
                output = await _shell(command)
        if shown.strip():
            compare(shown, output, self.known)

    async def _serve(self, server: AbstractAsyncContextManager[AsyncClient]) -> None:
        await self.stack.aclose()
        self.client = await self.stack.enter_async_context(server)

    async def _curl(self, arguments: list[str]) -> str:
        assert self.client, "No server was started."
        options, unknown = _CURL.parse_known_args(arguments)
        assert not unknown, f"These options of curl are not known here: {unknown}"
        host, slash, path = options.url.removeprefix("http://").partition("/")
        assert host == HOST, f"The server is at {HOST}."
        headers = dict(header.split(": ", 1) for header in options.header)
        if options.json is not None:
            headers = {"content-type": "application/json", "accept": "application/json"} | headers
        method = options.request or ("GET" if options.json is None else "POST")
        self.last = await self.client.request(
            method, slash + path, headers=headers, content=options.json
        )
        return _with_head(self.last) if options.include else self.last.text


_CURL: Final = ArgumentParser("curl", add_help=False, exit_on_error=False, allow_abbrev=False)
_CURL.add_argument("-i", "--include", action="store_true")
_CURL.add_argument("-X", "--request")
_CURL.add_argument("-H", "--header", action="append", default=[])
_CURL.add_argument("--json")
_CURL.add_argument("url")


def _with_head(response: Response) -> str:
    status = f"HTTP/1.1 {response.status_code} {response.reason_phrase}"
    headers = [f"{name.decode()}: {value.decode()}" for name, value in response.headers.raw]
    return "\n".join([status, *headers, "", response.text])


def _as_text(document: object) -> str:
    return json.dumps(document, indent=1, ensure_ascii=False)


async def _shell(command: str) -> str:
    """Run *command* with the programs of this environment, and return its output."""
    outer = {"MAKEFLAGS", "MAKELEVEL", "MFLAGS"}  # of a `make test` that runs this
    environ = {name: value for name, value in os.environ.items() if name not in outer}
    path = f"{Path(sys.executable).parent}{os.pathsep}{environ['PATH']}"
    process = await asyncio.create_subprocess_shell(
        command,
        env=environ | {"PATH": path, "COLUMNS": "100"},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output = (await process.communicate())[0].decode()
    assert process.returncode == 0, f"{command} ended with {process.returncode}:\n{output}"
    return output


if __name__ == "__main__":
    asyncio.run(Page(Path(sys.argv[1])).run())
