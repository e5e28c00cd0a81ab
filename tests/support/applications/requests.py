"""Random requests to a random application."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from typing_extensions import override

from tests.support.applications.context import EVE, NOBODY, TENANTS
from tests.support.applications.draft import Draft
from tests.support.applications.tables import KEYS, MISSING

NEW: Final = "$new"
"""The placeholder of the path in the last Location."""
NEXT: Final = "$next"
"""The placeholder of the target of the last link to another page."""
TAG: Final = "$tag"
"""The placeholder of the last entity tag in a header."""


@dataclass(frozen=True)
class PlannedRequest:
    """A request."""

    method: str
    target: str
    headers: Sequence[tuple[str, str]] = ()
    body: bytes | None = None

    @override
    def __str__(self) -> str:
        own = " ".join(f"{name}: {value}" for name, value in self.headers if value != _JSON)
        return f"{self.method} {self.target} {(self.body or b'').decode()} [{own}]"


_JSON: Final = "application/json"
_TYPE: Final = ("content-type", _JSON)
_MERGE: Final = "application/merge-patch+json"


def requests(draft: Draft) -> Sequence[PlannedRequest]:
    """Return the requests of a step: one, or several concurrent ones of two tenants."""
    if draft.chance(0.15):
        return _together(draft)
    return [_one(draft, draft.pick(*TENANTS, *TENANTS, *TENANTS, NOBODY, EVE))]


def _together(draft: Draft) -> Sequence[PlannedRequest]:
    """Return requests of two tenants that do not change each other's outcome."""
    if draft.key != "int" and draft.chance(0.3):
        return [*_posts(draft)]
    reads = [_list_target(draft), _item_target(draft), _item_target(draft)]
    targets = draft.random.sample(reads, draft.pick(1, 2))
    return [
        PlannedRequest("GET", target, _headers(draft, tenant))
        for target in targets
        for tenant in TENANTS * 4
    ]


def _posts(draft: Draft) -> Iterator[PlannedRequest]:
    """Yield requests for new rows, equal ones if the server generates their keys."""
    named = "id" in draft.create.model_fields
    for number, tenant in enumerate(TENANTS * 3 if named else TENANTS[:1] * 6):
        body: dict[str, Any] = {"name": f"new {number if named else 1}"}
        if named:
            body["id"] = f"t{number}" if draft.key == "text" else f"{KEYS['uuid'][0][:-2]}f{number}"
        headers = _headers(draft, tenant, _TYPE)
        yield PlannedRequest("POST", draft.paths[0], headers, json.dumps(body).encode())


def _headers(draft: Draft, tenant: str, *more: tuple[str, str]) -> Sequence[tuple[str, str]]:
    own = [] if tenant == NOBODY else [("tenant", tenant)]
    for name, values in draft.headers.items():
        if draft.chance(0.7):
            own.append((name, draft.pick(values[0], *values)))
    return [*own, *more]


def _one(draft: Draft, tenant: str) -> PlannedRequest:
    make = draft.pick(*_KINDS)
    asked: PlannedRequest = make(draft, tenant)
    return asked


# --- Targets --------------------------------------------------------------------------------------


def _path(draft: Draft) -> str:
    path: str = draft.pick(*draft.paths)
    return path


def _key(draft: Draft) -> str:
    keys = KEYS[draft.key]
    odd = (MISSING[draft.key], "abc", "%00", "batch", "1.0", keys[-1], keys[0].upper())
    key: str = draft.pick(*odd) if draft.chance(0.1) else draft.pick(*keys[:4], *keys)
    return key


def _item_target(draft: Draft) -> str:
    if draft.chance(0.12):
        return NEW
    slash = "/" if draft.chance(0.05) else ""
    return f"{_path(draft)}/{_key(draft)}{slash}{_query(draft, 0.08)}"


_PARAMETERS: Final = (
    *("limit=2", "limit=3", "limit=2", "limit=1", "limit=0", "limit=x", "offset=1", "offset=0"),
    *("sort=name", "sort=-rank", "sort=-name,rank", "sort=x", "count=exact", "count=estimated"),
    *("name=name%202", "name__contains=name", "name__contains=%25", "rank__gte=2", "rank__in=1,5"),
    *("tenant=ada", "note__isnull=true", "code__ne=code1", "q=NAME", "deleted=include"),
    *(
        "deleted=only",
        "zzz=1",
        "limit=2&limit=3",
        "cursor=abc",
        "name=",
        "rank__gte=x",
        "purge=true",
    ),
)


def _query(draft: Draft, share: float) -> str:
    """Return parameters with the probability *share*, else none."""
    if not draft.chance(share):
        return ""
    known = (*_PARAMETERS, *draft.parameters * 4)
    chosen = [draft.pick(*known) for _ in range(draft.pick(1, 1, 2))]
    return "?" + "&".join(chosen)


def _list_target(draft: Draft) -> str:
    if draft.chance(0.15):
        return NEXT
    slash = "/" if draft.chance(0.05) else ""
    return f"{_path(draft)}{slash}{_query(draft, 0.7)}"


# --- Bodies ---------------------------------------------------------------------------------------

_VALUES: Final[dict[str, Sequence[Any]]] = {
    "name": ["new 1", "new 2", "a", "b", "name 2", "x" * 30, "x" * 31, "", "\0", None, 1],
    "rank": [1, 2, 60, 60, 99, 100, -1, 2**31, 1.0, "1", None],
    "note": ["note 1", "other", "", None, None, 5],
    "code": ["c1", "c2", "code1", "code3", None, "x" * 21],
    "data": [{"a": 1}, {"a": {"b": None}}, {}, [], None, {"a": 1.0, "c": [None]}],
    "group_id": [1, 2, 3, 9, None],
    "seen": ["2021-02-03T04:05:06Z", "2021-02-03T04:05:06+05:30", "x", None],
    "tenant": ["ada", "bob", "none", None],
}


def _body(draft: Draft, schema: Any, share: float, tenant: str) -> dict[str, Any]:
    """Return a body for *schema*, with each optional field with the probability *share*.

    The row often belongs to *tenant*, the client.
    """
    body: dict[str, Any] = {}
    for name, info in schema.model_fields.items():
        alias = info.alias or name
        if name == "id":
            if info.is_required() or draft.chance(0.3):
                body[alias] = _new_key(draft)
        elif (info.is_required() or draft.chance(share)) and name in _VALUES:
            values = _VALUES[name]
            body[alias] = draft.pick(*values) if draft.chance(0.08) else draft.pick(*values[:3])
            if name == "tenant" and draft.chance(0.6):
                body[alias] = tenant
    if draft.chance(0.04):
        body["odd"] = 1
    return body


def _new_key(draft: Draft) -> Any:
    number = draft.random.randrange(10, 30)
    keys: dict[str, Any] = {
        "int": number,
        "text": draft.pick(f"t{number}", f"t{number}", "k1", "a/b", "batch", ""),
        "uuid": f"00000000-0000-0000-0000-0000000000{number}",
    }
    return keys[draft.key]


def _sent(draft: Draft, document: Any, kind: str = _JSON) -> tuple[bytes, tuple[str, str]]:
    """Return a body with *document* and its media type, sometimes a wrong one."""
    if draft.chance(0.03):
        broken = (b"{", b"[]", b"null", b'{"name": 1, "name": 2}', b"\xff", b"", b'{"name": NaN}')
        return draft.pick(*broken), ("content-type", kind)
    wrong = draft.pick("text/plain", "application/json; charset=latin-1")
    return json.dumps(document).encode(), (
        "content-type",
        wrong if draft.chance(0.02) else kind,
    )


# --- Requests -------------------------------------------------------------------------------------


def _conditions(draft: Draft) -> Sequence[tuple[str, str]]:
    own: list[tuple[str, str]] = []
    if draft.chance(0.2):
        own.append(("if-match", draft.pick(*[TAG] * 6, '"1"', "*", "*", 'W/"1"', "x", '"1", "2"')))
    if draft.chance(0.05):
        own.append(("if-none-match", draft.pick(TAG, "*", '"2"')))
    return own


def _repeats(draft: Draft) -> Sequence[tuple[str, str]]:
    own: list[tuple[str, str]] = []
    if draft.chance(0.15):
        own.append(("idempotency-key", draft.pick("a", "a", '"a"', "b", "")))
    if draft.chance(0.08):
        own.append(("prefer", "return=minimal"))
    return own


def _get(draft: Draft, tenant: str) -> PlannedRequest:
    own: list[tuple[str, str]] = []
    if draft.chance(0.2):
        own.append(
            ("if-none-match", draft.pick(TAG, TAG, TAG, '"1"', "*", '"1", "2"', 'W/"2"', "x"))
        )
    if draft.chance(0.06):
        own.append(("if-match", draft.pick(TAG, '"1"')))
    if draft.chance(0.06):
        own.append(("accept", draft.pick("text/html", "application/*", "*/*;q=0.1")))
    method = "HEAD" if draft.chance(0.1) else "GET"
    return PlannedRequest(method, _item_target(draft), _headers(draft, tenant, *own))


def _list(draft: Draft, tenant: str) -> PlannedRequest:
    own: list[tuple[str, str]] = []
    if draft.chance(0.1):
        own.append(("accept", draft.pick("application/x-ndjson", "text/html", "application/*")))
    method = "HEAD" if draft.chance(0.1) else "GET"
    return PlannedRequest(method, _list_target(draft), _headers(draft, tenant, *own))


def _post(draft: Draft, tenant: str) -> PlannedRequest:
    body, kind = _sent(draft, _body(draft, draft.create, 0.4, tenant))
    slash = "/" if draft.chance(0.05) else ""
    target = f"{_path(draft)}{slash}{_query(draft, 0.05)}"
    return PlannedRequest("POST", target, _headers(draft, tenant, kind, *_repeats(draft)), body)


def _patch(draft: Draft, tenant: str) -> PlannedRequest:
    kind = draft.pick(_JSON, _MERGE)
    share = draft.pick(0.1, 0.4)
    changes = _body(draft, draft.update, share, tenant)
    if not changes and draft.chance(0.8):
        changes = {"name": draft.pick(*_VALUES["name"][:5])}
    body, header = _sent(draft, changes, kind)
    own = (header, *_conditions(draft), *_repeats(draft))
    return PlannedRequest("PATCH", _item_target(draft), _headers(draft, tenant, *own), body)


def _put(draft: Draft, tenant: str) -> PlannedRequest:
    body, header = _sent(draft, _body(draft, draft.create, 0.4, tenant))
    own = (header, *_conditions(draft))
    return PlannedRequest("PUT", _item_target(draft), _headers(draft, tenant, *own), body)


def _delete(draft: Draft, tenant: str) -> PlannedRequest:
    more = draft.pick("?allow_missing=true", "?purge=true") if draft.chance(0.15) else ""
    target = f"{_path(draft)}/{_key(draft)}{more}"
    return PlannedRequest("DELETE", target, _headers(draft, tenant, *_conditions(draft)))


def _more(draft: Draft, tenant: str) -> PlannedRequest:
    """Return a request for a subresource of a row, or for an unknown path."""
    method, end = draft.pick(
        ("POST", "/restore"),
        ("GET", "/history"),
        ("GET", "/own"),
        ("GET", "/nothing"),
        ("OPTIONS", ""),
        ("POST", ""),
    )
    return PlannedRequest(method, f"{_path(draft)}/{_key(draft)}{end}", _headers(draft, tenant))


def _groups(draft: Draft, tenant: str) -> PlannedRequest:
    method, path = draft.pick(("GET", "/1"), ("GET", ""), ("DELETE", "/3"), ("PATCH", "/2"))
    body = b'{"name": "green"}' if method == "PATCH" else None
    return PlannedRequest(method, f"/groups{path}", _headers(draft, tenant, _TYPE), body)


def _batch(draft: Draft, tenant: str) -> PlannedRequest:
    method = draft.pick("POST", "PATCH", "DELETE")
    target = f"{_path(draft)}/batch"
    if method == "DELETE":
        ids = draft.random.sample(KEYS[draft.key], 2)
        return PlannedRequest(method, f"{target}?id={ids[0]}&id={ids[1]}", _headers(draft, tenant))
    items = [_item(draft, method, tenant) for _ in range(draft.pick(1, 2, 3))]
    body, kind = _sent(draft, items)
    return PlannedRequest(method, target, _headers(draft, tenant, kind, *_repeats(draft)), body)


def _item(draft: Draft, method: str, tenant: str) -> dict[str, Any]:
    if method == "POST":
        return _body(draft, draft.create, 0.4, tenant)
    key = draft.pick(*KEYS[draft.key][:6])
    own = {"id": int(key) if draft.key == "int" else key}
    version = {"version": draft.pick(1, 2)} if draft.chance(0.2) else {}
    return {**_body(draft, draft.update, 0.35, tenant), **own, **version}


_KINDS: Final = (
    *([_get] * 6),
    *([_list] * 6),
    *([_post] * 4),
    *([_patch] * 7),
    *(_put, _delete, _delete, _batch, _batch, _more, _groups),
)
