"""Names of the operations of a resource, for openapi.json."""

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from fastapi.routing import APIRoute

_SUMMARIES: Final[Mapping[str, str]] = {
    "list": "List {rows}",
    "create": "Create {row}",
    "create_batch": "Create many {rows}",
    "update_batch": "Update many {rows}",
    "delete_batch": "Delete many {rows}",
    "get": "Get {row}",
    "update": "Update {row}",
    "replace": "Replace {row}",
    "delete": "Delete {row}",
    "restore": "Restore {row}",
    "history": "List the changes of {row}",
}
_WORD_ENDS: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])|[\W_]+")
_LIKE_YOU: Final = re.compile(r"eu|one\b|once|uni(?!n|m)|us[aeiu]|ut[ei]|ur[aeo]", re.IGNORECASE)
_SILENT_H: Final = re.compile(r"hour|honou?r|honest|heir", re.IGNORECASE)
_SPELT_WITH_VOWEL: Final = "AEFHILMNORSX"
"""The letters whose names begin with a vowel: an SQL query, an API key, but a URL."""


def tag(prefix: str, model: type[Any]) -> str:
    """Return the tag of the resource at *prefix*: its path without the parameters."""
    return "/".join(each for each in _segments(prefix, model) if not each.startswith("{"))


def operation_name(operation: str, prefix: str, model: type[Any]) -> str:
    """Return `v1_blog_posts_list` for the list at `/v1/blog-posts`."""
    parts = [*_segments(prefix, model), operation]
    return "_".join(re.sub(r"\W+", "_", re.sub(r":.*", "", each)).strip("_") for each in parts)


def operation_id(operation: str, path: str, model: type[Any]) -> Callable[[APIRoute], str]:
    """Return a function that names an operation after the whole path of its route.

    One router may be included under several prefixes. *path* is what the operation adds to the
    path of its resource.
    """

    def name(route: APIRoute) -> str:
        return operation_name(operation, route.path.removesuffix(path), model)

    return name


def summary(operation: str, prefix: str, model: type[Any]) -> str:
    """Return `List blog posts`, or `Get a blog post`, for `BlogPost` at `/blog-posts`."""
    rows = " ".join(_words(_segments(prefix, model)[-1]))
    return _SUMMARIES[operation].format(row=_one(_words(model.__name__)), rows=rows)


def _segments(prefix: str, model: type[Any]) -> list[str]:
    """Return the segments of *prefix*, of which the last names the rows of *model*."""
    segments = [each for each in prefix.split("/") if each]
    if segments and not segments[-1].startswith("{"):
        return segments
    return [*segments, getattr(model, "__tablename__", None) or "-".join(_words(model.__name__))]


def _words(name: str) -> list[str]:
    """Return the words of *name* in small letters; an acronym keeps its capitals."""
    words = [each for each in _WORD_ENDS.split(name) if each]
    return [each if each.isupper() and len(each) > 1 else each.lower() for each in words]


def _one(words: list[str]) -> str:
    """Return *words* with the article that their sound wants: `a user`, `an article`."""
    first = words[0]
    if first.isupper():
        vowel = first[0] in _SPELT_WITH_VOWEL
    else:
        vowel = first[0] in "aeiou" and not _LIKE_YOU.match(first)
        vowel = vowel or bool(_SILENT_H.match(first))
    return " ".join(["an" if vowel else "a", *words])
