"""The code blocks and links of the documentation."""

import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from textwrap import dedent

import pytest

from tests.support.pages import PAGES, ROOT, Page, execute, links


def name(page: Path) -> str:
    return str(page.relative_to(ROOT))


def test_every_block_of_the_readme_runs(tmp_path: Path) -> None:
    execute(ROOT / "README.md", tmp_path)


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_link_of_a_page_has_a_target(page: Path) -> None:
    for link in links(page.read_text()):
        if "://" not in link:
            path, _, anchor = link.partition("#")
            target = page.parent / path if path else page
            assert target.exists(), f"{link}: there is no such file."
            assert not anchor or anchor in anchors(target), f"{link}: there is no such heading."


def anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


Run = Callable[[str], Awaitable[None]]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Return a function that executes a page with this text."""
    monkeypatch.chdir(tmp_path)

    async def run(text: str) -> None:
        page = tmp_path / "page.md"
        page.write_text(dedent(text).strip())
        await Page(page).run()

    return run


async def test_blocks_share_names_in_lists_and_comments_too(run: Run) -> None:
    await run("""
        ```python
        number = 1
        ```

        - A list:

          ```python
          number += 1
          ```

        <!--
        ```python
        number += 1
        ```
        -->

        ```python
        assert number == 3
        ```
        """)


async def test_python_may_await(run: Run) -> None:
    await run("""
        ```python
        import asyncio

        assert await asyncio.sleep(0, "done") == "done"
        ```
        """)


async def test_a_block_with_a_title_is_a_file(run: Run) -> None:
    await run("""
        ```text title="greeting"
        Hello
        ```

        ```console
        $ cat greeting
        Hello
        ```
        """)


async def test_a_block_continues_a_file(run: Run) -> None:
    await run("""
        ```text title="greeting"
        Hello
        ```

        ```text title="greeting (continued)"
        Goodbye
        ```

        ```console
        $ cat greeting
        Hello


        Goodbye
        ```
        """)


async def test_a_diff_changes_the_program(run: Run) -> None:
    await run("""
        ```python title="main.py"
        from fastapi import FastAPI

        app = FastAPI()

        @app.get("/")
        async def greet() -> str:
            return "Hello"
        ```

        ```console
        $ uvicorn main:app
        $ curl localhost:8000/
        "Hello"
        ```

        ```diff title="main.py"
        -app = FastAPI()
        +app = FastAPI(title="Greetings")

         @app.get("/")
         async def greet() -> str:
        @@
        -    return "Hello"
        +    return app.title
        ```

        ```console
        $ curl localhost:8000/
        "Hello"
        $ uvicorn main:app
        $ curl localhost:8000/
        "Greetings"
        ```
        """)


async def test_an_ellipsis_matches_text_or_lines(run: Run) -> None:
    await run("""
        ```console
        $ printf 'one two\\nb\\nc\\nd\\n'
        one …
        …
        d
        ```
        """)


async def test_curl_requests_the_program_and_reuses_its_ids(run: Run) -> None:
    await run("""
        ```python
        from uuid import uuid4

        from fastapi import FastAPI

        app = FastAPI()
        key = str(uuid4())

        @app.get("/keys")
        async def get_keys() -> list[str]:
            return [key]

        @app.get("/keys/{name}")
        async def get_key(name: str) -> dict[str, bool]:
            return {"known": name == key}
        ```

        ```console
        $ uvicorn main:app
        $ curl localhost:8000/keys
        ["0198c0de-0000-7000-8000-000000000000"]
        $ curl -i localhost:8000/keys/0198c0de-0000-7000-8000-000000000000
        HTTP/1.1 200 OK
        …

        {"known":true}
        ```

        ```json
        {
          "known": true
        }
        ```
        """)


async def test_a_skipped_block_gives_a_reason(run: Run) -> None:
    await run("""
        <!-- not run: there is no such program -->
        ```sh
        no-such-program
        ```
        """)


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("```python\n1 / 0\n```", "division by zero"),
        ("```pycon\n>>> 1\n```", "A block of pycon cannot be executed"),
        ("```\n1\n```", "A block of no language cannot be executed"),
        ("Indented:\n\n    number = 1", "A block of no language cannot be executed"),
        ("<!--\n```python\n1 / 0\n```\n-->", "division by zero"),
        ("<!-- not run: -->\n```sh\nfalse\n```", "Give the reason"),
        ("<!-- not run: slow -->\n\nText.\n\n```sh\nfalse\n```", "false ended with 1"),
        ("```console\n$ echo a\nb\n```", "The page shows"),
        ("```console\n$ echo 'a\n> b'\n```", "No closing quotation"),
        ("```console\necho a\n```", "starts with a command"),
        (
            "```console\n$ echo a 2026-01-31T12:00:00Z\na 2026-01-31T12:00:01Z\n```",
            "The page shows",
        ),
        ("```console\n$ false\n```", "false ended with 1"),
        ("```sh\nmake no-such-target\n```", "No rule to make target"),
        ("```console\n$ curl localhost:8000\n```", "No server was started"),
        ("```python\n```\n```console\n$ uvicorn app.main:app\n```", "Only the program of the page"),
        ("```json\n{}\n```", "No answer precedes it"),
        ("```diff\n-a\n```", "A block of diff cannot be executed"),
        ('```text title="a"\nab\n```\n```diff title="a"\n-b\n```', "has 0 places"),
        ('```text title="a"\nb\nb\n```\n```diff title="a"\n-b\n```', "has 2 places"),
        (
            """```python title="main.py"
number = 1
```
```diff title="main.py"
-number = 1
+1 / 0
```
```console
$ uvicorn main:app
```""",
            "main:app does not start",
        ),
    ],
)
async def test_a_wrong_block_is_an_error(run: Run, text: str, error: str) -> None:
    with pytest.raises(Exception, match=error) as raised:
        await run(text)
    assert "page.md, the block at line" in raised.value.__notes__[0]


@pytest.mark.parametrize(
    ("command", "error"),
    [
        ('curl localhost:8000/\n{"hello": "you"}', "The page shows"),
        ("curl -i localhost:8000/\nHTTP/1.1 201 Created\n…", "The page shows"),
        ("curl --compressed localhost:8000/", "options of curl are not known"),
        ("curl https://example.org/", "The server is at localhost:8000"),
        ("curl localhost:8000/\n```\n```json\n{}", "The page shows"),
    ],
)
async def test_a_different_response_is_an_error(run: Run, command: str, error: str) -> None:
    program = (
        "from fastapi import FastAPI\napp = FastAPI()\napp.get('/')(lambda: {'hello': 'world'})"
    )
    with pytest.raises(AssertionError, match=error):
        await run(f"```python\n{program}\n```\n```console\n$ uvicorn main:app\n$ {command}\n```")
