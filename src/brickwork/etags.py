"""Entity tags and preconditions (RFC 9110, section 8.8.3 and 13)."""

import re
from dataclasses import dataclass
from typing import Final

from sqlalchemy.orm import DeclarativeBase
from starlette.datastructures import Headers

from brickwork.models import Versioned
from brickwork.problems import Fault, Malformed, PreconditionFailed, PreconditionRequired

_TAG: Final = r'(?:W/)?"[\x21\x23-\x7e\x80-\xff]*"'
_TAGS: Final = re.compile(rf"[ \t,]*{_TAG}(?:[ \t]*,[ \t,]*{_TAG})*[ \t,]*")


@dataclass(frozen=True)
class Tags:
    """The entity tags of a header; `*` matches every row there is."""

    tags: frozenset[str]
    any: bool = False

    def match(self, tag: str | None) -> bool:
        """Tell whether *tag* is one of them; weak ones are never (strong comparison)."""
        return self.any or tag in self.tags

    def match_weakly(self, tag: str | None) -> bool:
        """Tell whether *tag* is one of them, weak or not (weak comparison)."""
        return self.any or tag in {each.removeprefix("W/") for each in self.tags}


@dataclass(frozen=True)
class Preconditions:
    """What a request wants to be true of the row, before anything is done with it."""

    if_match: Tags | None
    if_none_match: Tags | None

    def check(self, row: DeclarativeBase, *, required: bool = False) -> None:
        """Raise `PreconditionFailed` if they are not; nothing is to be changed then.

        Raises `PreconditionRequired` where `If-Match` is *required* and absent.
        """
        tag = etag(row)
        if required and self.if_match is None:
            text = "Say with If-Match which version of the row is meant."
            fault = Fault(code="required", detail=text, header="If-Match")
            raise PreconditionRequired(text, errors=[fault])
        if (self.if_match and not self.if_match.match(tag)) or (
            self.if_none_match and self.if_none_match.match_weakly(tag)
        ):
            raise stale(row)

    def is_known(self, row: DeclarativeBase) -> bool:
        """Tell whether the client has the row as it is."""
        return bool(self.if_none_match and self.if_none_match.match_weakly(etag(row)))


def preconditions(headers: Headers) -> Preconditions:
    """Return the preconditions in *headers*; raises `Malformed` for what is no entity tag."""
    return Preconditions(_tags(headers, "If-Match"), _tags(headers, "If-None-Match"))


def etag(row: object) -> str | None:
    """Return the entity tag of *row*, another after each change; None if it is not versioned."""
    return tag_of(row.version) if isinstance(row, Versioned) else None


def tag_of(version: int) -> str:
    """Return the entity tag of a row of this *version*."""
    return f'"{version}"'


def stale(row: DeclarativeBase) -> PreconditionFailed:
    """Return what to tell a client that means another version of *row*, with the tag of this."""
    tag = etag(row)
    headers = {"ETag": tag} if tag else {}
    return PreconditionFailed("The row is not as the request expects it.", headers=headers)


def _tags(headers: Headers, name: str) -> Tags | None:
    if not (lines := headers.getlist(name)):
        return None
    value = ", ".join(lines)
    if value.strip() == "*":
        return Tags(frozenset(), any=True)
    if not _TAGS.fullmatch(value):
        text = 'An entity tag is quoted, as in "3", and several are separated by commas.'
        raise Malformed(text, errors=[Fault(code="etag", detail=text, header=name)])
    return Tags(frozenset(re.findall(_TAG, value)))
