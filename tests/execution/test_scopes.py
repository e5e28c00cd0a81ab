"""Scopes on each path."""

import json
from collections.abc import Sequence, Set as AbstractSet
from typing import Annotated, Any, Final

import pytest
from fastapi import Depends, FastAPI, HTTPException
from httpx2 import AsyncClient
from sqlalchemy import Select, String, bindparam, exists, select
from sqlalchemy.orm import aliased
from typing_extensions import override

from brickwork import Database, Resource
from tests.support.calls import client_of
from tests.support.notes import TWENTY, Friend, Note, current_user, notes, notes_app
from tests.support.paths import Outcome, Paths, Step, outcome

pytestmark = [pytest.mark.anyio, pytest.mark.both_paths]


class Scope(Resource[Note]):
    user: Annotated[str, Depends(current_user)]


class Joined(Scope):
    @override
    def query(self) -> Select[Note]:
        return super().query().join(Friend, Friend.owner == Note.owner)


class Related(Scope):
    @override
    def query(self) -> Select[Note]:
        friend = exists().where(Friend.owner == Note.owner, Friend.name == self.user)
        return super().query().where(friend)


class Implied(Scope):
    @override
    def query(self) -> Select[Note]:
        return super().query().where(Friend.owner == Note.owner, Friend.name == self.user)


class Listed(Scope):
    @override
    def query(self) -> Select[Note]:
        return super().query().where(Note.owner.in_([self.user, "bob"]))


class Renamed(Scope):
    @override
    def query(self) -> Select[Note]:
        note = aliased(Note)
        return select(note).where(note.owner == self.user)


class Bare(Scope):
    @override
    def query(self) -> Select[Note]:
        return select(Note)


class Named(Scope):
    @override
    def query(self) -> Select[Note]:
        own = bindparam("brickwork_own", self.user, type_=String)
        return super().query().where(Note.owner == own)


class Given(Scope):
    @override
    def query(self) -> Select[Note]:
        own = bindparam("own", type_=String)
        return super().query().where(Note.owner == own).params(own=self.user)


class Clashing(Scope):
    @override
    def query(self) -> Select[Note]:
        return super().query().where(Note.owner == bindparam("text", self.user, type_=String))


class UsingSession(Scope):
    @override
    def query(self) -> Select[Note]:
        self.session.info["asked"] = self.session.bind
        return super().query().where(Note.owner == self.user)


class Rejecting(Scope):
    @override
    def query(self) -> Select[Note]:
        raise HTTPException(403, "Not you.")


class Either(Scope):
    @override
    def query(self) -> Select[Note]:
        rows = super().query()
        return rows if self.user == "root" else rows.where(Note.owner == self.user)


class Limited(Scope):
    @override
    def query(self) -> Select[Note]:
        return super().query().where(Note.owner == self.user, Note.rank > 1).limit(1)


class Translated(Scope):
    @override
    def query(self) -> Select[Note]:
        rows = super().query().where(Note.owner == self.user)
        return rows.execution_options(schema_translate_map={"there": None})


def request_of(user: str, method: str, path: str, json: Any = None, *, id: str) -> Step:  # noqa: A002
    return Step(method, path, json, headers={"authorization": user}, id=id)


CONVERSATION: Final = [
    *(
        step
        for user in ("ada", "bob")
        for step in (
            request_of(user, "GET", "/notes", id="list"),
            request_of(user, "GET", "/notes/10", id="row"),
            request_of(user, "GET", "/notes/13", id="row"),
            request_of(user, "PATCH", "/notes/10", {"text": f"by {user}"}, id="change"),
            request_of(user, "PATCH", "/notes/13", {"text": f"by {user}"}, id="change"),
            request_of(user, "PATCH", "/notes/16", {"owner": "eve"}, id="gift"),
            request_of(user, "PATCH", "/notes/17", {"owner": "eve"}, id="gift"),
            request_of(user, "POST", "/notes", {"owner": user, "text": "new"}, id="creation"),
            request_of(user, "DELETE", "/notes/12", id="delete"),
            request_of(user, "DELETE", "/notes/15", id="delete"),
        )
    ),
    # Last: a sequence of PostgreSQL counts rows that are not stored, too.
    *(
        request_of(user, "POST", "/notes", {"owner": "eve", "text": "new"}, id="gift")
        for user in ("ada", "bob")
    ),
]


_APPS: Final = dict[type[Resource[Note]], FastAPI]()


def app_of(resource: type[Resource[Note]]) -> FastAPI:
    """Return the notes of *resource*, which get their database from the client."""
    if resource not in _APPS:
        _APPS[resource] = notes_app(Database("sqlite:///unused.db"), notes(resource))
    return _APPS[resource]


READS: Final = {"list", "row", "delete"}


@pytest.mark.parametrize(
    ("resource", "owners", "fast"),
    [
        pytest.param(Joined, {"bob"}, set[str](), id="join"),
        pytest.param(Related, {"bob"}, READS | {"change"}, id="exists"),
        pytest.param(Implied, {"bob"}, set[str](), id="second table"),
        pytest.param(Listed, {"ada", "bob"}, set[str](), id="list of values"),
        pytest.param(Renamed, set[str](), set[str](), id="alias, which is rejected"),
        pytest.param(Bare, {"ada", "bob"}, READS | {"change", "gift", "creation"}, id="none"),
        pytest.param(Named, {"ada"}, set[str](), id="reserved name"),
        pytest.param(Given, {"ada"}, set[str](), id="parameter"),
        pytest.param(Clashing, {"ada"}, set[str](), id="name of a column"),
        pytest.param(UsingSession, {"ada"}, set[str](), id="session"),
        pytest.param(Rejecting, set[str](), set[str](), id="rejection"),
        pytest.param(Either, {"ada"}, READS | {"change", "creation"}, id="condition"),
        pytest.param(Limited, set[str](), set[str](), id="limit, which a list rejects"),
        pytest.param(Translated, {"ada"}, set[str](), id="option"),
    ],
)
async def test_scope_applies_on_each_path(
    notes_paths: Paths,
    resource: type[Resource[Note]],
    owners: AbstractSet[str],
    fast: AbstractSet[str],
) -> None:
    app = app_of(resource)
    await notes_paths.fill(TWENTY)
    by_fast = await run_conversation(client_of(app, {"database": notes_paths.fast}))
    await notes_paths.fill(TWENTY)
    by_orm = await run_conversation(client_of(app, {"database": notes_paths.orm}))
    assert by_fast == by_orm
    assert [answer.fast for answer in by_orm] == [False] * len(CONVERSATION)
    taken = zip(CONVERSATION, by_fast, strict=True)
    assert {step.id for step, answer in taken if answer.fast} == fast
    ada_sees = json.loads(by_fast[0].body)
    assert {row["owner"] for row in ada_sees if by_fast[0].status == 200} == owners


async def run_conversation(client: AsyncClient) -> Sequence[Outcome]:
    """Send the requests of `CONVERSATION` one after the other."""
    return [await outcome(client, step) for step in CONVERSATION]
