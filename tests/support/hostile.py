"""Hostile requests for every field and parameter.

The fields and parameters are those of openapi.json. A value is JSON text, since no serialiser would
write most of them. `$articles` in a target or a body stands for the id of the existing article.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import count
from typing import Any, Final
from urllib.parse import quote

from tests.support import queries
from tests.support.bodies import JSON, MARKER, MERGE_PATCH, MISSING, article, author, comment, text
from tests.support.queries import DIGITS, UUID

Table = Mapping[str, str]

HOST: Final = "evil.example"
"""The Host of every request, which no response may repeat."""


@dataclass(frozen=True)
class Case:
    """One request, and the properties of its response that are known before."""

    name: str
    method: str
    target: str
    content: bytes = b""
    headers: tuple[tuple[bytes, bytes], ...] = ()
    refused: bool = False
    """Whether the service must reject it. If False, both databases have to agree."""
    field: str = ""
    """The member that an accepted request must store unchanged."""


Groups = dict[str, list[Case]]
"""Cases by their subject; each group starts with the same three rows."""


def corpus(openapi: dict[str, Any]) -> Groups:
    """Return the requests for the service that *openapi* describes."""
    groups: Groups = {}
    seen: set[str] = set()
    for path, method, operation in _operations(openapi):
        name = f"{method} {path}"
        resource = "/" + path.split("/")[1]
        target = path.replace("{id}", f"${resource[1:]}")
        if fields := _body(openapi, operation):
            for field, schema in fields.items():
                groups[f"{name} {field}"] = [*_field(method, target, field, schema)]
            groups[f"{name} fields"] = [*_fields(method, target, openapi, resource)]
            groups[f"{name} bodies"] = [*_bodies(method, target)]
            groups[f"{name} types"] = [*_types(method, target)]
        groups[f"{name} query"] = [*_query(method, target, operation, seen)]
        groups[f"{name} headers"] = [*_headers(method, target)]
        if "{id}" in path:
            groups[f"{name} ids"] = [*_ids(method, resource)]
    groups["lists"] = [*_list()]
    return groups | _batches(groups)


def _batches(groups: Groups) -> Groups:
    """Return cases with invalid values in the second item of a batch; the first is valid."""
    return {
        f"{name} in a batch": [_in_a_batch(case) for case in cases if case.refused]
        for name, cases in groups.items()
        if re.fullmatch(r"POST /articles [a-z_]+|PATCH /articles/\{id\} [a-z_]+", name)
        if any(case.field for case in cases)
    }


def _in_a_batch(case: Case) -> Case:
    first, second = valid_body("/articles"), case.content
    if case.method == "PATCH":
        first = {"id": "$articles"}  # the same row as the second item, so that nothing is written
        second = second.replace(b"{", b'{"id": "$articles", ', 1)
    content = b"[" + text(first).encode() + b", " + second + b"]"
    return replace(case, target="/articles/batch", content=content)


def kind(schema: Mapping[str, Any]) -> str:
    """Return the kind of the values of *schema*, except null: a format, a type, or `enum`."""
    for option in schema.get("anyOf", [schema]):
        if option.get("type") != "null":
            return str("enum" if "enum" in option else option.get("format", option.get("type")))
    return "null"


def _operations(openapi: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, item in openapi["paths"].items():
        for method, operation in item.items():
            yield path, method.upper(), operation


def _body(openapi: dict[str, Any], operation: dict[str, Any]) -> dict[str, Any]:
    content = operation.get("requestBody", {}).get("content", {})
    name = content.get(JSON, {}).get("schema", {}).get("$ref", "").rpartition("/")[2]
    fields: dict[str, Any] = openapi["components"]["schemas"].get(name, {}).get("properties", {})
    return fields


_numbers: Final = count()


def valid_body(path: str) -> dict[str, object]:
    """Return a new valid body for the resource at *path*."""
    number = next(_numbers)
    return {
        "/authors": author(email=f"{MARKER}{number}@example.org"),
        "/articles": article(slug=f"{MARKER}-{number}"),
        "/comments": comment("$articles"),
    }[path]


# --- Values ------------------------------------------------------------------------------------


def _text(value: str) -> str:
    return json.dumps(value)


def _deep(opening: str, closing: str, depth: int) -> str:
    return opening * depth + "1" + closing * depth


NEVER: Final[Table] = {
    "a null character": _text(f"a\0{MARKER}"),
    "only a null character": _text("\0"),
    "a high surrogate alone": r'"qzx\ud800"',
    "a low surrogate alone": r'"\udfffqzx"',
    "surrogates the wrong way round": r'"qzx\ude00\ud83d"',
    "a null character in a key": r'{"k\u0000": 1}',
    "a surrogate in a key": r'{"k\ud800": 1}',
    "a null character inside": rf'{{"a": [{{"b": "{MARKER}\u0000"}}]}}',
    "a surrogate inside": rf'{{"a": [{{"b": "{MARKER}\udfff"}}]}}',
    "NaN": "NaN",
    "Infinity": "Infinity",
    "-Infinity": "-Infinity",
    "NaN inside": '{"a": NaN}',
    "1e999": "1e999",
    "-1e999": "-1e999",
    "1e999 inside": '{"a": [-1e999]}',
    "an integer of 400 digits": DIGITS * 60,
    "a negative integer of 400 digits": "-" + DIGITS * 60,
    "an integer of 5 000 digits": DIGITS * 720,
    "an integer of 5 000 digits inside": f'{{"a": {DIGITS * 720}}}',
    "a number of 5 000 digits with a fraction": DIGITS * 720 + ".5",
    "a key twice": '{"a": 1, "b": 1, "a": 1}',
    "a key twice, once escaped": r'{"a": 1, "\u0061": 1}',
    "arrays 64 deep": _deep("[", "]", 64),
    "objects 64 deep": _deep('{"a":', "}", 64),
    "arrays 1 000 deep": _deep("[", "]", 1_000),
    "objects 1 000 deep": _deep('{"a":', "}", 1_000),
    "arrays 100 000 deep, not closed": "[" * 100_000,
    "a leading zero": "01",
    "a word": "undefined",
    "a raw line break": f'"{MARKER}\n"',
    "half an escape": r'"\u00"',
    "nothing": "",
}
"""Values that every field rejects."""

PERHAPS: Final[Table] = {
    "null": "null",
    "true": "true",
    "zero": "0",
    "minus zero": "-0",
    "minus zero, a float": "-0.0",
    "minus one": "-1",
    "a float that is whole": "5.0",
    "a float that is not": "0.1",
    "an integer as a power": "1e2",
    "digits as text": '"5"',
    "true as text": '"true"',
    "null as text": '"null"',
    "2**15": str(2**15),
    "2**31 - 1": str(2**31 - 1),
    "2**31": str(2**31),
    "-2**31 - 1": str(-(2**31) - 1),
    "2**53 + 1": str(2**53 + 1),
    "2**63 - 1": str(2**63 - 1),
    "2**63": str(2**63),
    "-2**63": str(-(2**63)),
    "-2**63 - 1": str(-(2**63) - 1),
    "2**64": str(2**64),
    "the largest double": "1.7976931348623157e308",
    "the smallest double": "5e-324",
    "less than the smallest double": "-1e-999",
    "more digits than a double has": "0." + DIGITS * 700,
    "an empty array": "[]",
    "an array": f'["{MARKER}"]',
    "an empty object": "{}",
    "an object": f'{{"{MARKER}": {{"a": [1, 1.0, true, null, "é"]}}}}',
    "arrays 62 deep": '{"a": ' + _deep("[", "]", 62) + "}",
    "objects 63 deep": _deep('{"a":', "}", 63),
    "__proto__": '{"__proto__": {"admin": true}, "constructor": {"prototype": {"a": 1}}}',
    "an empty key": '{"": {"": 1}}',
    "a strange key": r'{"a/b~c%\"\\": 1, "\u2028\ufeff😀": 1, "$ne": null, "a.b[0]": 1}',
    "keys that differ in form": r'{"\u00e9": 1, "e\u0301": 2}',
    "a long key": f'{{"{"k" * 10_000}": 1}}',
}
"""Values of every type, which some fields accept."""

TEXTS: Final[Table] = {
    name: _text(value)
    for name, value in {
        "empty": "",
        "a space": " ",
        "spaces around": f" {MARKER} ",
        "line breaks": f"{MARKER}\r\nSet-Cookie: a=b\r\n\r\n",
        "control characters": "\x01\x08\x0b\x1b[31m\x1f\x7f\x80\x85\x9f",
        "a byte order mark": f"\ufeff{MARKER}",
        "line separators": "a\u2028b\u2029c",
        "a combining sequence": "e" + "\u0301" * 50,
        "right to left": "\u202e\u0645\u0631\u062d\u0628\u0627\u202c",
        "an emoji of several": "👩\u200d👩\u200d👧\u200d👦🏽",
        "characters beyond the plane": "\U0001d56c\U0010ffff\U0001f600",
        "characters that are none": "\ufffe\uffff\ufdd0\U0001fffe",
        "private use": "\ue000\U000f0000",
        "a dotted I": "\u0130\u0131\u017f\u212a",
        "digits of another script": "٣٣३",
        "an end of SQL": f"'; DROP TABLE articles; --{MARKER}",
        "a union": '" UNION SELECT 1,2,3 FROM qzx--',
        "a parameter": ":title %(title)s %s $1 ?",
        "a pattern": "%_%\\%",
        "a format": "{0.__class__} {title} %n ${7*7} {{7*7}}",
        "backslashes": "\\\\ \\x41 \\u0041 \\0",
        "quotes": "'\"`\u00b4",
        "markup": f"<script>alert('{MARKER}')</script>&amp;<!--",
        "a path": "../../../etc/passwd\\..\\C:",
        "a slug with an end of line": "a-b\n",
        "a slug in capitals": "A-B",
        "a slug in half": "a--b-",
    }.items()
} | {
    "escapes for all": r'"\u0041\/\b\f\n\r\t\ud83d\ude00"',
    "raw characters": '"é😀\u2028\u007f"',
    "a megabyte": f'"{"m" * 1_000_000}"',
}

TIMES: Final[Table] = {
    time: _text(time)
    for time in (
        "2026-02-03T04:05:06",
        "2026-02-03T04:05:06Z",
        "2026-02-03t04:05:06z",
        "2026-02-03 04:05:06Z",
        "2026-02-03T04:05Z",
        "2026-02-03T04Z",
        "2026-02-03",
        "20260203T040506Z",
        "2026-034T04:05:06Z",
        "2026-W06-2T04:05:06Z",
        "2026-02-03T04:05:06+0100",
        "2026-02-03T04:05:06+01",
        "2026-02-03T04:05:06+01:00:00",
        "2026-02-03T04:05:06 +01:00",
        "2026-02-03T04:05:06+23:59",
        "2026-02-03T04:05:06-23:59",
        "2026-02-03T04:05:06+24:00",
        "2026-02-03T04:05:06-24:00",
        "2026-02-03T04:05:06+00:60",
        "2026-02-03T04:05:06+99:99",
        "2026-02-03T04:05:06-00:00",
        "2026-02-03T04:05:06\u221201:00",
        "2026-02-03T04:05:06Z[Europe/Paris]",
        "2026-02-03T04:05:06 UTC",
        "2026-02-03T24:00:00Z",
        "2026-02-03T25:00:00Z",
        "2026-02-03T04:60:00Z",
        "2026-02-03T04:05:60Z",
        "2016-12-31T23:59:60Z",
        "2026-02-03T04:05:61Z",
        "2026-02-29T00:00:00Z",
        "2024-02-29T00:00:00Z",
        "2100-02-29T00:00:00Z",
        "2026-00-01T00:00:00Z",
        "2026-13-01T00:00:00Z",
        "2026-01-00T00:00:00Z",
        "0000-01-01T00:00:00Z",
        "0001-01-01T00:00:00Z",
        "0001-01-01T00:00:00+00:01",
        "0001-01-01T00:00:00-00:01",
        "9999-12-31T23:59:59.999999Z",
        "9999-12-31T23:59:59.9999999Z",
        "9999-12-31T23:59:59-00:01",
        "10000-01-01T00:00:00Z",
        "+2026-02-03T04:05:06Z",
        "-2026-02-03T04:05:06Z",
        "-0001-01-01T00:00:00Z",
        "1582-10-10T00:00:00Z",
        "1883-11-18T12:03:57+00:00",
        "1969-12-31T23:59:59.999999Z",
        "2026-02-03T04:05:06,5Z",
        "2026-02-03T04:05:06.Z",
        "\u0662\u0660\u0662\u0666-02-03T04:05:06Z",
        " 2026-02-03T04:05:06Z",
        "2026-02-03T04:05:06Z\n",
        "1770091506",
        "1770091506.5",
        "now",
        "infinity",
        "-infinity",
        "epoch",
        "0001-01-01T00:00:00Z BC",
        "12:00:00Z",
        "P1D",
        *(f"2026-02-03T04:05:06.{'123456789012'[:digits]}Z" for digits in range(1, 13)),
        f"2026-02-03T04:05:06.{'9' * 5_000}Z",
    )
} | {
    "a time stamp": "1770091506",
    "a time stamp with a fraction": "1770091506.25",
    "a time stamp in milliseconds": "1770091506000",
}

IDS: Final = (
    UUID.upper(),
    f"{{{UUID}}}",
    f"urn:uuid:{UUID}",
    UUID.replace("-", ""),
    UUID.replace("-", "", 1),
    UUID.replace("-", "_"),
    UUID.replace("-", "\u2010"),
    f" {UUID}",
    f"{UUID}\n",
    f"{UUID}0",
    UUID[:-1],
    UUID[:-1] + "g",
    UUID[:-1] + "\u0661",
    f"{UUID}\0",
    "0" * 8 + "-0000" * 3 + "-" + "0" * 12,
    "f" * 8 + "-ffff" * 3 + "-" + "f" * 12,
    "AYkAAAAAcACAAAAAAAAAqw==",
    "0",
    "-1",
    "1e3",
    "null",
    "None",
    f"{MARKER}' OR '1'='1",
    f"{MARKER};--",
    "a\ufeff",
    "é😀",
    DIGITS * 700,
)
"""Texts in place of a UUID; none is the id of a row."""

_VALUES: Final[Mapping[str, Table]] = {
    "string": TEXTS,
    "enum": TEXTS,
    "date-time": TIMES,
    "date": TIMES,
    "time": TIMES,
    "uuid": {identifier[:40]: _text(identifier) for identifier in IDS},
}


def _lengths(schema: Mapping[str, Any]) -> Iterator[tuple[str, str, bool]]:
    """Yield texts of the bounds of *schema*, and one character longer or shorter."""
    for option in schema.get("anyOf", [schema]):
        if (most := option.get("maxLength")) is not None:
            yield "as long as may be", f'"{"a" * most}"', False
            yield "as long as may be, of four bytes each", f'"{"😀" * most}"', False
            yield "too long by one", f'"{"a" * (most + 1)}"', True
            yield "too long by a combining character", f'"{"a" * most}\u0301"', True
        if (least := option.get("minLength")) is not None:
            yield "too short by one", f'"{"a" * (least - 1)}"', True


def _bounds(schema: Mapping[str, Any]) -> Iterator[tuple[str, str, bool]]:
    """Yield the integer bounds of *schema*, and the integers just beyond."""
    for option in schema.get("anyOf", [schema]):
        for name, step in (("minimum", -1), ("maximum", 1)):
            if (bound := option.get(name)) is not None:
                yield f"the {name}", str(bound), False
                yield f"beyond the {name}", str(bound + step), True
                yield f"the {name} with a fraction", f"{bound}.0", option["type"] == "integer"


# --- Bodies ------------------------------------------------------------------------------------


def _field(method: str, target: str, field: str, schema: Mapping[str, Any]) -> Iterator[Case]:
    values = [(name, raw, True) for name, raw in NEVER.items()]
    if (
        method == "POST" or kind(schema) == "object"
    ):  # the types of a field are equal in all methods
        values += [(name, raw, False) for name, raw in PERHAPS.items()]
    if method != "PUT" or kind(schema) != "string":  # PUT has the schema of POST
        values += [(name, raw, False) for name, raw in _VALUES.get(kind(schema), {}).items()]
    values += [*_lengths(schema), *_bounds(schema)]
    for name, raw, refused in values:
        yield Case(
            f"{field}: {name}",
            method,
            target,
            _document(method, target, **{field: raw}).encode(),
            _of(JSON),
            refused,
            field,
        )


def _document(method: str, target: str, **raw: str) -> str:
    sent = {} if method == "PATCH" else valid_body("/" + target.split("/")[1])
    return text(sent, **raw)


def _of(*kinds: str) -> tuple[tuple[bytes, bytes], ...]:
    return tuple((b"content-type", kind.encode("latin-1")) for kind in kinds)


def _fields(method: str, target: str, openapi: dict[str, Any], resource: str) -> Iterator[Case]:
    """Yield bodies with unknown and read-only fields."""
    name = resource[1:-1].capitalize()
    shown = openapi["components"]["schemas"][f"{name}Read"]["properties"]
    written = openapi["components"]["schemas"][f"{name}Create"]["properties"]
    for field in shown.keys() - written.keys():
        for value in ('"x"', "null", "7", f'"{MISSING}"', '"2026-02-03T04:05:06Z"'):
            content = _document(method, target, **{field: value})
            yield Case(
                f"{field}: {value}", method, target, content.encode(), _of(JSON), refused=True
            )
    keys = {
        "unknown": "zzz",
        "empty": "",
        "private": "_sa_instance_state",
        "of the class": "metadata",
        "a method": "__init__",
        "__proto__": "__proto__",
        "constructor": "constructor",
        "a pointer": "/title",
        "a tilde": "~0~1",
        "a percent": "%00%",
        "with a quote": r"a\"",
        "with a null character": r"a\u0000",
        "with a surrogate": r"a\ud800",
        "with the case changed": "TITLE",
        "with a space": "title ",
        "with a byte order mark": r"\ufefftitle",
        "long": "k" * 10_000,
        "very long": "k" * 900_000,
    }
    for key, written_key in keys.items():
        content = _document(method, target, **{written_key: "1"})
        yield Case(f"a key {key}", method, target, content.encode(), _of(JSON), refused=True)
    many = _document(method, target, **{f"k{number}": "1" for number in range(1_000)})
    yield Case("1 000 unknown keys", method, target, many.encode(), _of(JSON), refused=True)


def _bodies(method: str, target: str) -> Iterator[Case]:
    good = _document(method, target)
    last = good.rindex("}")
    bodies: dict[str, bytes] = {
        "nothing": b"",
        "blank": b" \r\n\t",
        "cut short": good[:last].encode(),
        "two documents": f"{good}{good}".encode(),
        "a comma too many": f"{good[:last]},}}".encode(),
        "a comment": f"{good}//{MARKER}".encode(),
        "single quotes": b"{'title': 'a'}",
        "a form": f"title={MARKER}&slug=a".encode(),
        "XML": f"<?xml version='1.0'?><!DOCTYPE a [<!ENTITY b '{MARKER}'>]><a>&b;</a>".encode(),
        "YAML": b"title: !!python/object/apply:os.system ['id']",
        "a byte order mark": b"\xef\xbb\xbf" + good.encode(),
        "UTF-16": good.encode("utf-16"),
        "UTF-32": good.encode("utf-32"),
        "Latin-1": f'{good[:last]}, "a": "é"}}'.replace("{, ", "{").encode("latin-1"),
        "an overlong encoding": b'{"a": "\xc0\x80"}',
        "a surrogate, encoded": b'{"a": "\xed\xa0\x80"}',
        "beyond Unicode": b'{"a": "\xf4\x90\x80\x80"}',
        "half a character": b'{"a": "\xf0\x9f\x98',
        "a null byte behind": good.encode() + b"\0",
        "null bytes": b"\0" * 100,
        "random bytes": bytes(range(256)),
        "gzip": b"\x1f\x8b\x08\x00\x00\x00\x00\x00",
        "null": b"null",
        "true": b"true",
        "a number": b"1",
        "-": b"-",
        "1e999": b"1e999",
        "5 000 digits": (DIGITS * 720).encode(),
        "text": f'"{MARKER}"'.encode(),
        "an array": b"[]",
        "an array of it": f"[{good}]".encode(),
        "half a megabyte of brackets": b"[" * 500_000,
        "half a megabyte of brackets, closed": b"[" * 500_000 + b"]" * 500_000,
        "brackets in turn": b'{"a":[' * 100_000,
        "a megabyte of digits": b"1" * 1_000_000,
        "a megabyte of a fraction": b'{"a": 0.' + b"1" * 1_000_000 + b"}",
        "a megabyte of minus": b"-" * 1_000_000,
        "a megabyte of quotes": b'"' * 1_000_000,
        "a megabyte of backslashes": b'"' + b"\\" * 1_000_000 + b'"',
        "too large by one": b" " * 1_048_577,
        "twice too large": b" " * 2_097_152,
    }
    for name, content in bodies.items():
        yield Case(name, method, target, content, _of(JSON), refused=True)
    nulls = ", ".join([_text("\0")] * 200)
    deep = _document(method, target, meta=f'{{"{"k" * 500_000}": [{nulls}]}}').encode()
    yield Case("many faults under a long key", method, target, deep, _of(JSON), refused=True)


def _types(method: str, target: str) -> Iterator[Case]:
    """Yield valid bodies with various media types."""
    for kinds in (
        [],
        [""],
        ["/"],
        ["application/"],
        ["json"],
        ["*/*"],
        ["text/plain"],
        ["text/json"],
        ["application/jsonp"],
        ["application/problem+json"],
        ["application/json-patch+json"],
        ["application/x-www-form-urlencoded"],
        ["multipart/form-data"],
        ["multipart/form-data; boundary="],
        [f"multipart/form-data; boundary={MARKER}"],
        [f"application/json; charset={MARKER}"],
        ["application/json; charset=utf-16"],
        ["application/json; charset=utf-7"],
        ["application/json; charset=rot13"],
        ["application/json; charset=idna"],
        ["application/json; charset*=utf-8''latin-1"],
        ["application/json; charset=\xe9"],
        ["application/json, text/plain"],
        ["\xe9\xff"],
    ):
        content = _document(method, target).encode()
        name = f"Content-Type: {', '.join(kinds)[:40] or len(kinds)}"
        yield Case(name, method, target, content, _of(*kinds), refused=True)
    for kinds in (
        [MERGE_PATCH],
        ["application/json; charset=utf-8"],
        ['application/json; charset="UTF-8"'],
        ["Application/JSON"],
        ["application/json;"],
        ["application/json; charset"],
        ["application/json; charset="],
        ["application/json; q=0"],
        ["application/json; charset=utf-8; charset=latin-1"],
        ["application/json" + "; a=b" * 1_000],
        [JSON, "text/plain"],
        ["text/plain", JSON],
    ):
        content = _document(method, target).encode()
        yield Case(f"Content-Type: {', '.join(kinds)[:40]}", method, target, content, _of(*kinds))
    for coding in ("gzip", "identity", "", "br, gzip", "GZIP", "identity, gzip", MARKER):
        headers = (*_of(JSON), (b"content-encoding", coding.encode()))
        content = _document(method, target).encode()
        yield Case(f"Content-Encoding: {coding}", method, target, content, headers)


# --- Queries, ids, headers ---------------------------------------------------------------------


def _query(method: str, target: str, operation: dict[str, Any], seen: set[str]) -> Iterator[Case]:
    """Yield requests with known and unknown parameters."""
    content = _document(method, target).encode() if "requestBody" in operation else b""
    headers = _of(JSON) if content else ()
    # A DELETE is sent to a missing row: the response shows whether it was rejected.
    target = re.sub(r"\$\w+", MISSING, target) if method == "DELETE" else target
    sent = [*queries.OF_ANY]
    for parameter in operation.get("parameters", []):
        if parameter["in"] == "query":
            sent += _parameter(parameter["name"], parameter["schema"], seen)
    for query, refused in sent:
        yield Case(f"?{query[:60]}", method, f"{target}?{query}", content, headers, refused)


def _parameter(name: str, schema: Mapping[str, Any], seen: set[str]) -> Iterator[tuple[str, bool]]:
    """Yield queries with one parameter, and whether the service must reject each.

    A parameter like one that was *seen* gets a few values, any other gets many.
    """
    novelty = _novelty(name, schema, seen)
    for value in (queries.FEW, queries.SOME, queries.MANY)[novelty]:
        yield f"{name}={value}", False
    if novelty:
        yield from ((f"{name}={raw}", refused) for _, raw, refused in _bounds(schema))
    if novelty == 2:
        for raw in _VALUES.get(kind(schema), {}).values():
            if raw.isascii() and r"\ud8" not in raw and len(raw) < 2_000:
                yield f"{name}={quote(str(json.loads(raw)))}", False
        yield f"{name}=1&{name}=1", True
        yield name, False
        yield f"{name}[]=1", True
        yield f"{name}[$gt]=1", True
        yield f"{name}__gt=1&{name}__zzz=1", True
        yield f"{name.upper()}=1", True
        yield f"%{ord(name[0]):02X}{name[1:]}=1", False


def _novelty(name: str, schema: Mapping[str, Any], seen: set[str]) -> int:
    """Return 2 for a parameter of a new kind, 1 for a known kind with a new operator, else 0."""
    shape, operator = kind(schema.get("items", schema)), name.partition("__")[2]
    if name in queries.ALONE:
        shape = operator = name
    operation = f"{shape} {'gt' if operator in {'gte', 'lt', 'lte'} else operator}"
    novelty = 2 if shape not in seen else int(operation not in seen)
    seen |= {shape, operation}
    return novelty


def _list() -> Iterator[Case]:
    """Yield requests for a list with several parameters, or in another format."""
    for query, refused in queries.OF_A_LIST:
        yield Case(f"?{query[:60]}", "GET", f"/articles?{query}", refused=refused)
    lines = ((b"accept", b"application/x-ndjson"),)
    for query, refused in queries.OF_LINES:
        yield Case(f"lines ?{query[:60]}", "GET", f"/articles?{query}", b"", lines, refused)


def _ids(method: str, resource: str) -> Iterator[Case]:
    content = _document(method, resource).encode() if method in {"PUT", "PATCH"} else b""
    if method == "PATCH":
        content = b"{}"
    headers = _of(JSON) if content else ()
    others = [f"${name}" for name in ("authors", "articles", "comments") if name != resource[1:]]
    raw = ["%00", "%FF", "%ED%A0%80", "%C0%80", "%25", "%2F", "%2e%2e", ".", "..", "%20", "%0D%0A"]
    raw += ["%", "%zz", "a/b", "a;b=c", "~", "*", "null", "%u0041", "a" * 8_000, "a" * 9_000]
    for key in (*raw, *others, *(quote(identifier, safe="") for identifier in IDS)):
        target = f"{resource}/{key}"
        yield Case(f"id {key[:60]}", method, target, content, headers, refused=True)


def _headers(method: str, target: str) -> Iterator[Case]:
    """Yield requests with false headers, or with unsupported requests in headers."""
    body = _document(method, target).encode() if method in {"POST", "PUT", "PATCH"} else b""
    known = _of(JSON) if body else ()
    target = re.sub(r"\$\w+", MISSING, target) if method == "DELETE" else target
    headers: dict[str, tuple[str, ...]] = {
        "accept": (
            "",
            ",",
            ";",
            "/",
            "*",
            "*/*",
            "*/*;q=0",
            "application/json;q=0",
            "application/json;q=0, */*",
            "application/x-ndjson",
            "application/x-ndjson;q=nan",
            "application/x-ndjson;q=1, application/json;q=1",
            "application/x-ndjson," * 1_000,
            "application/json;q=nan",
            "application/json;q=inf",
            "application/json;q=-1",
            "application/json;q=1e400",
            "application/json;q=0.0001",
            "application/json;q=" + "9" * 5_000,
            "application/json;q=\xb9",
            "application/json;q",
            "application/*;q=0",
            "text/html",
            f"text/{MARKER}",
            "text/html," * 1_000,
            "*/*;q=0.5;" * 1_000,
            '"application/json"',
            "application/json\t",
            "\xe9",
        ),
        "prefer": (
            "",
            "return=minimal",
            'return="minimal"',
            "RETURN=minimal",
            "return=",
            "return=minimal, return=representation",
            f"return={MARKER}",
            '"',
            ",;=" * 1_000,
            "return=minimal\xe9",
            "respond-async, wait=" + "9" * 5_000,
        ),
        "x-request-id": (
            "",
            MARKER + "é".encode().decode("latin-1"),
            "a" * 129,
            "a b",
            "<b>",
            "a;b",
        ),
        "host": ("", HOST, f"{HOST}:99999", f"user@{HOST}", f"[{HOST}", "\xe9", "a" * 10_000),
        "x-forwarded-host": (HOST,),
        "x-forwarded-proto": ("javascript", "https"),
        "x-forwarded-prefix": (f"//{HOST}",),
        "x-forwarded-for": ("\xe9", "127.0.0.1", "a" * 10_000),
        "forwarded": (f"host={HOST};for=_", ";;"),
        "x-original-url": ("/articles",),
        "x-http-method-override": ("DELETE", "TRACE"),
        "if-match": ("*", "", "abc", 'W/"a"', '"' + "a" * 10_000 + '"', "\xe9"),
        "if-none-match": ("", "abc", '"a', "\xe9"),
        "if-modified-since": ("never", "Thu, 01 Jan 1970 00:00:00 GMT"),
        "range": ("bytes=0-0", "bytes=-", "rows=9-1"),
        "origin": (f"http://{HOST}", "null"),
        "cookie": ("a" * 10_000, "a=b;" * 1_000, "\xe9"),
        "authorization": ("Basic \xe9", "Bearer " + "a" * 5_000, MARKER),
        "idempotency-key": ("", '"', "\xe9", "a" * 256),
        "accept-encoding": ("gzip;q=nan", "identity;q=0, *;q=0"),
        "accept-language": ("*" * 1_000,),
        "te": ("trailers, deflate;q=0.5",),
        "x-a": ("a" * 30_000, "a" * 40_000),
    }
    # Other headers do not concern the resource.
    for name in [*headers] if target == "/articles" else ["accept", "prefer"]:
        for value in headers[name]:
            sent = (*known, (name.encode(), value.encode("latin-1")))
            yield Case(f"{name}: {value[:60]}", method, target, body, sent)
