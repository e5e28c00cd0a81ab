"""The rules, and the faults against them."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

LONGEST: Final = 25
"""How many words a sentence may have."""

_BANNED: Final = re.compile(
    r"\b(at once|told|anew|besides|be it|whom|laid|lanes?|carried out|thereof|mended?)\b",
    re.IGNORECASE,
)
_CODE: Final = re.compile(r"`[^`]*`|\[([^\]]*)\]\([^)]*\)|<[^>]+>|\"[^\"]*\"")
_END: Final = re.compile(r"(?<=[.!?:;])\s+|\n\s*\n|\n\s*(?:[-*]|\d+\.)\s")
_NO_VERB: Final = re.compile(
    r"(What|How|Where|Whether|Which|Who|Whose|When|The|A|An|This|These|It|Its|If|Have|Be|Tell|Give)\b"
)
_NO_NOUN: Final = re.compile(r"(What|How|Where|Whether|Which|Who|Whose|When|Have|Be|Tell)\b")
_NO_SUBJECT: Final = re.compile(r"\b(what|whose|none of a|of ones own|it is told)\b")
_LONGEST_TEST: Final = 10
_MODULE: Final = 12
"""How many words the first line of a module may have: eight, and a name before a colon."""


@dataclass(frozen=True, order=True)
class Fault:
    """A rule that a text breaks, in the *line* of a file."""

    file: str
    line: int
    rule: str
    text: str


def sentences(text: str) -> Iterator[str]:
    """Yield the sentences of *text*, with one word for each piece of code."""
    for sentence in _END.split(_CODE.sub(lambda match: match[1] or "code", text)):
        if sentence and sentence.strip():
            yield " ".join(sentence.split())


def wrong(text: str) -> Iterator[tuple[str, str]]:
    """Yield the rules for every text that *text* breaks, each with the words that break it."""
    yield from wrong_words(text)
    for sentence in sentences(text):
        if (count := len(sentence.split())) > LONGEST:
            yield f"8: {count} words", sentence[:60]


def wrong_words(text: str) -> Iterator[tuple[str, str]]:
    """Yield the rule for words, with each banned word of *text*."""
    for match in _BANNED.finditer(_CODE.sub("", text)):
        yield "6: a banned word", match[0]


def wrong_first_line(kind: str, text: str) -> Iterator[tuple[str, str]]:
    """Yield the rule for first lines, if that of *text*, the docstring of a *kind*, breaks it."""
    first = text.strip().partition("\n\n")[0]
    if kind == "function" and _NO_VERB.match(first):
        yield "4: a function begins with a verb", first[:60]
    elif kind == "class" and _NO_NOUN.match(first):
        yield "4: a class begins with a noun", first[:60]
    elif kind == "module" and (_NO_NOUN.match(first) or len(first.split()) > _MODULE):
        yield "4: a module has eight words at most", first[:60]


def wrong_test_name(name: str) -> Iterator[tuple[str, str]]:
    """Yield the rules that the *name* of a test breaks, each with the words that break it."""
    text = name.removeprefix("test_").replace("_", " ")
    if match := _NO_SUBJECT.search(text):
        yield "2: a relative clause in the name of a test", f"{match[0]} ({name})"
    if match := _BANNED.search(text):
        yield "6: a banned word in the name of a test", f"{match[0]} ({name})"
    if (count := len(text.split())) > _LONGEST_TEST:
        yield f"8: the name of a test has {count} words", name
