"""Tags, ids and default summaries of operations."""

import re
from collections.abc import Callable, Mapping
from typing import Any, Final, Literal

from fastapi.routing import APIRoute

OperationName = Literal[
    "list",
    "create",
    "create_batch",
    "update_batch",
    "delete_batch",
    "get",
    "update",
    "replace",
    "delete",
    "restore",
    "history",
]
"""The operations of a resource. The name ends the operationId, as in `articles_create`."""

_SUMMARIES: Final[Mapping[str, str]] = {
    "list": "List {rows}",
    "create": "Create {row}",
    "create_batch": "Create a batch of {rows}",
    "update_batch": "Update a batch of {rows}",
    "delete_batch": "Delete a batch of {rows}",
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
"""Letters whose names begin with a vowel sound: an SQL query, an API key, but a URL."""


def tag(prefix: str, model: type[Any]) -> str:
    """Return the tag of the resource at *prefix*: its path without parameters."""
    return "/".join(part for part in _segments(prefix, model) if not part.startswith("{"))


def operation_name(operation: str, prefix: str, model: type[Any]) -> str:
    """Return `v1_blog_posts_list` for the list at `/v1/blog-posts`."""
    parts = [*_segments(prefix, model), operation]
    return "_".join(re.sub(r"\W+", "_", re.sub(r":.*", "", part)).strip("_") for part in parts)


def operation_id(operation: str, path: str, model: type[Any]) -> Callable[[APIRoute], str]:
    """Return a function that builds an operation id from the full path of a route.

    A router may be included under several prefixes. *path* is the suffix of the operation, after
    the path of its resource.
    """

    def name(route: APIRoute) -> str:
        return operation_name(operation, route.path.removesuffix(path), model)

    return name


def summary(operation: str, prefix: str, model: type[Any]) -> str:
    """Return a summary such as `List blog posts`, for `BlogPost` at `/blog-posts`."""
    rows = " ".join(split_words(_segments(prefix, model)[-1]))
    return _SUMMARIES[operation].format(row=with_article(split_words(model.__name__)), rows=rows)


def _segments(prefix: str, model: type[Any]) -> list[str]:
    """Return the segments of *prefix*; the last is a plural name of *model*."""
    segments = [segment for segment in prefix.split("/") if segment]
    if segments and not segments[-1].startswith("{"):
        return segments
    return [
        *segments,
        getattr(model, "__tablename__", None) or "-".join(split_words(model.__name__)),
    ]


def split_words(name: str) -> list[str]:
    """Split *name* into lower-case words. Acronyms stay in capitals."""
    words = [word for word in _WORD_ENDS.split(name) if word]
    return [word if word.isupper() and len(word) > 1 else word.lower() for word in words]


def with_article(words: list[str]) -> str:
    """Return *words* with the indefinite article: `a user`, `an article`."""
    first = words[0]
    if first.isupper():
        vowel = first[0] in _SPELT_WITH_VOWEL
    else:
        vowel = first[0] in "aeiou" and not _LIKE_YOU.match(first)
        vowel = vowel or bool(_SILENT_H.match(first))
    return " ".join(["an" if vowel else "a", *words])
