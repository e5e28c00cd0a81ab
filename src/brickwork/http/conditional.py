"""Entity tags and preconditions (RFC 9110, section 8.8.3 and 13)."""

import re
from dataclasses import dataclass
from hashlib import blake2b
from typing import Final

from sqlalchemy.orm import DeclarativeBase
from starlette.datastructures import Headers

from brickwork.models.model import Versioned
from brickwork.problems import BadRequest, ErrorDetail, PreconditionFailed, PreconditionRequired

_TAG: Final = r'(?:W/)?"[\x21\x23-\x7e\x80-\xff]*"'
_TAGS: Final = re.compile(rf"[ \t,]*{_TAG}(?:[ \t]*,[ \t,]*{_TAG})*[ \t,]*")
_WEAK: Final = "W/"
_VERSION_TAG: Final = re.compile(r'"(\d{1,19})(?:-[0-9a-f]{20})?"', re.ASCII)
_DIGEST: Final = 10  # bytes


@dataclass(frozen=True)
class ETagList:
    """The entity tags of a header; `*` matches every row there is."""

    tags: frozenset[str]
    any: bool = False

    def match(self, version: int | None) -> bool:
        """Tell whether one of them is of this *version*; weak ones are never (strong comparison).

        *version* is None for a row without versions.
        """
        return self.any or _contains_version(version, self.tags)

    def match_weakly(self, version: int | None) -> bool:
        """Tell whether one of them is of this *version*, weak or not (weak comparison)."""
        return self.any or _contains_version(version, self._opaque)

    def have(self, tag: str | None) -> bool:
        """Tell whether *tag* is one of them, weak or not (weak comparison)."""
        return self.any or tag in self._opaque

    @property
    def _opaque(self) -> frozenset[str]:
        return frozenset(each.removeprefix(_WEAK) for each in self.tags)


def _contains_version(version: int | None, tags: frozenset[str]) -> bool:
    """Tell whether one of *tags* begins with *version*, whatever representation it is of."""
    ours = (_VERSION_TAG.fullmatch(each) for each in tags)
    return version is not None and str(version) in {each[1] for each in ours if each}


@dataclass(frozen=True)
class Preconditions:
    """What a request wants to be true of the row, before anything is done with it."""

    if_match: ETagList | None
    if_none_match: ETagList | None

    def check(self, row: DeclarativeBase, *, required: bool = False) -> None:
        """Raise `PreconditionFailed` if they are not; nothing is to be changed then.

        What counts is the version of the row, and not how it is shown. Raises
        `PreconditionRequired` where `If-Match` is *required* and absent.
        """
        version = version_of(row)
        if required and self.if_match is None:
            text = "Say with If-Match which version of the row is meant."
            fault = ErrorDetail(code="required", detail=text, header="If-Match")
            raise PreconditionRequired(text, errors=[fault])
        if (self.if_match and not self.if_match.match(version)) or (
            self.if_none_match and self.if_none_match.match_weakly(version)
        ):
            raise precondition_failed()

    def is_known(self, tag: str | None) -> bool:
        """Tell whether the client has the representation of this *tag*."""
        return bool(self.if_none_match and self.if_none_match.have(tag))


def parse_preconditions(headers: Headers) -> Preconditions:
    """Return the preconditions in *headers*; raises `BadRequest` for what is no entity tag."""
    return Preconditions(_parse_etags(headers, "If-Match"), _parse_etags(headers, "If-None-Match"))


def version_of(row: object) -> int | None:
    """Return the version of *row*; None if it is not versioned."""
    return row.version if isinstance(row, Versioned) else None


def format_etag(version: int, body: bytes | None = None) -> str:
    """Return the entity tag of a row of this *version* that is shown as *body*.

    Two representations have the same tag if they are the same bytes. Without a *body* it is that
    of the version alone, which no representation has.
    """
    if body is None:
        return f'"{version}"'
    return f'"{version}-{blake2b(body, digest_size=_DIGEST).hexdigest()}"'


def precondition_failed(tag: str | None = None) -> PreconditionFailed:
    """Return what to tell a client that means another version of a row, with the *tag* of this."""
    headers = {"ETag": tag} if tag else {}
    return PreconditionFailed("The row is not as the request expects it.", headers=headers)


def _parse_etags(headers: Headers, name: str) -> ETagList | None:
    if not (lines := headers.getlist(name)):
        return None
    value = ", ".join(lines)
    if value.strip() == "*":
        return ETagList(frozenset(), any=True)
    if not _TAGS.fullmatch(value):
        text = 'An entity tag is quoted, as in "3", and several are separated by commas.'
        raise BadRequest(text, errors=[ErrorDetail(code="etag", detail=text, header=name)])
    return ETagList(frozenset(re.findall(_TAG, value)))
