"""The files that the blocks of a page write."""

import re
from pathlib import Path
from typing import Final

_CONTINUED: Final = " (continued)"


def is_change(language: str, title: str) -> bool:
    """Return whether a block changes a file, and is not a file itself."""
    return language == "diff" and bool(title) and not title.endswith(".diff")


def save_block(language: str, title: str, text: str) -> None:
    """Write *text* to the file of its *title*, append it, or change the file by it."""
    file = Path(title.removesuffix(_CONTINUED))
    if is_change(language, title):
        text = patched(file.read_text(), text)
    elif title.endswith(_CONTINUED):
        text = f"{file.read_text()}\n\n{text}"
    file.write_text(text)


def patched(text: str, diff: str) -> str:
    """Return *text* with the changes of *diff*; fail unless each has one place."""
    for change in diff.split("@@\n"):
        lines = [line + "\n" for line in change.splitlines()]
        before = "".join(line[1:] or "\n" for line in lines if not line.startswith("+"))
        after = "".join(line[1:] or "\n" for line in lines if not line.startswith("-"))
        places = [*re.finditer(f"^{re.escape(before)}", text, re.MULTILINE)]
        assert len(places) == 1, f"The file has {len(places)} places with\n{before}"
        text = text[: places[0].start()] + after + text[places[0].end() :]
    return text
