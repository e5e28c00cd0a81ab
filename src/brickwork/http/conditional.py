"""Entity tags and preconditions (RFC 9110, sections 8.8.3 and 13)."""

import re
from dataclasses import dataclass
from hashlib import blake2b
from typing import Final

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
    """The entity tags of a header. `*` matches every existing row."""

    tags: frozenset[str]
    any: bool = False

    def match_strong(self, version: int | None) -> bool:
        """Return whether a strong tag has this *version* (strong comparison).

        *version* is None for a row without versions.
        """
        return self.any or _contains_version(version, self.tags)

    def match_weak(self, version: int | None) -> bool:
        """Return whether a tag, weak or strong, has this *version* (weak comparison)."""
        return self.any or _contains_version(version, self._opaque)

    def contains(self, tag: str | None) -> bool:
        """Return whether *tag* is in the list, weak or strong (weak comparison)."""
        return self.any or tag in self._opaque

    @property
    def _opaque(self) -> frozenset[str]:
        return frozenset(tag.removeprefix(_WEAK) for tag in self.tags)


def _contains_version(version: int | None, tags: frozenset[str]) -> bool:
    """Return whether one of *tags* has *version*, with any digest of a representation."""
    matches = (_VERSION_TAG.fullmatch(tag) for tag in tags)
    return version is not None and str(version) in {match[1] for match in matches if match}


@dataclass(frozen=True)
class Preconditions:
    """The conditions of a request on the current row."""

    if_match: ETagList | None
    if_none_match: ETagList | None

    def check(self, row: object, *, required: bool = False) -> None:
        """Compare the preconditions with the version of *row*, not with its representation.

        Raises:
            PreconditionFailed: The version does not match.
            PreconditionRequired: `If-Match` is *required*, and absent.

        """
        version = version_of(row)
        if required and self.if_match is None:
            text = "Send the ETag of the row in If-Match."
            error = ErrorDetail(code="required", detail=text, header="If-Match")
            raise PreconditionRequired(text, errors=[error])
        if (self.if_match and not self.if_match.match_strong(version)) or (
            self.if_none_match and self.if_none_match.match_weak(version)
        ):
            raise precondition_failed()

    @property
    def is_empty(self) -> bool:
        """Return whether the request has no precondition."""
        return self.if_match is None and self.if_none_match is None

    @property
    def version(self) -> int | None:
        """Return the version in the only, strong tag of If-Match. None for other preconditions."""
        if self.if_none_match or self.if_match is None or len(self.if_match.tags) != 1:
            return None
        (tag,) = self.if_match.tags
        match = _VERSION_TAG.fullmatch(tag)
        return int(match[1]) if match and not match[1].startswith("0") else None

    def is_not_modified(self, tag: str | None) -> bool:
        """Return whether the client already has the representation with this *tag*."""
        return bool(self.if_none_match and self.if_none_match.contains(tag))


_NO_PRECONDITIONS: Final = Preconditions(None, None)

_NAMES: Final = {b"if-match", b"if-none-match"}


def parse_preconditions(headers: Headers) -> Preconditions:
    """Return the preconditions in *headers*. Raises `BadRequest` for an invalid entity tag."""
    if not any(name in _NAMES for name, _ in headers.raw):
        return _NO_PRECONDITIONS
    return Preconditions(_parse_etags(headers, "If-Match"), _parse_etags(headers, "If-None-Match"))


def version_of(row: object) -> int | None:
    """Return the version of *row*. None if it has no versions."""
    return row.version if isinstance(row, Versioned) else None


def format_etag(version: int, body: bytes | None = None) -> str:
    """Return the entity tag of a row with this *version*, represented by *body*.

    Representations with the same bytes have the same tag. Without *body*, the tag is of the version
    alone; no representation has it.
    """
    if body is None:
        return f'"{version}"'
    return f'"{version}-{blake2b(body, digest_size=_DIGEST).hexdigest()}"'


def precondition_failed(tag: str | None = None) -> PreconditionFailed:
    """Return the error for a precondition that does not match, with the current *tag*."""
    headers = {"ETag": tag} if tag else {}
    return PreconditionFailed("The row is not in the expected state.", headers=headers)


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
