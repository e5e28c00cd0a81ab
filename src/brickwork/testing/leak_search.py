"""The search for leaks between two callers."""

import json
import secrets
from collections.abc import Collection as Names, Sequence
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from typing import Any, Final

from fastapi import FastAPI
from httpx2 import Response

from brickwork.testing.leak_attacks import Attack, Target, attacks_on, attacks_on_deleted
from brickwork.testing.leak_collections import (
    Collection,
    Endpoint,
    NotAttacked,
    Row,
    find_endpoints,
)
from brickwork.testing.leak_endpoints import EndpointAttack, EndpointAttacks
from brickwork.testing.leak_numbers import telling_urls
from brickwork.testing.leak_rows import Bodies, Party
from brickwork.testing.leak_signs import (
    Signs,
    is_invalid,
    miscounts,
    missing_key,
    replace_key,
    says_nothing,
)

_REFUSED: Final = {404, 410}
"""The statuses that say the same about the row of another and about no row."""


@dataclass
class LeakReport:
    """The requests of `assert_no_leaks`."""

    attacked: list[str] = field(default_factory=list[str])
    """The operations, as in openapi.json: `GET /articles/{id}`."""
    skipped: list[str] = field(default_factory=list[str])
    """The operations that *skip* names."""
    requests: int = 0
    """The number of requests of the stranger."""


class LeakSearch:
    """A search for leaks."""

    def __init__(
        self, app: FastAPI, owner: Party, stranger: Party, *, bodies: Bodies, skip: Names[str]
    ) -> None:
        """Take the parties, which have no rows yet. `assert_no_leaks` explains *bodies*, *skip*."""
        self.report = LeakReport()
        self.leaks: list[str] = []
        self.missed: dict[str, str] = {}
        """Why an operation was not attacked."""
        self._endpoints, self._collections = find_endpoints(app)
        self._skip = {*skip}
        self._bodies = bodies
        self._check_names()
        self._owner, self._stranger = owner, stranger
        self._answers: dict[tuple[str, str], str] = {}
        """The last answer to an operation of a collection that said nothing."""
        self._signs = Signs(owner, stranger, public=json.dumps(app.openapi()))
        self._before: dict[str, object] = {}

    def _check_names(self) -> None:
        """Raise `TypeError` for a name in *skip* or *bodies* that no operation has."""
        known = {str(endpoint) for endpoint in self._endpoints}
        known |= {endpoint.path for endpoint in self._endpoints}
        known |= {collection.path for collection in self._collections}
        if unknown := sorted({*self._skip, *self._bodies} - known):
            raise TypeError(
                f"The application has no {', '.join(unknown)}. Name a path or an operation as in "
                f"openapi.json, such as {min(known, default='GET /articles/{id}')!r}."
            )

    def _is_skipped(self, endpoint: Endpoint) -> bool:
        paths = {endpoint.path, endpoint.collection.path if endpoint.collection else endpoint.path}
        return bool({str(endpoint), *paths} & self._skip)

    async def run(self) -> LeakReport:
        """Search all operations. Raises `AssertionError` with what was found."""
        public = [one for one in self._collections if one.path in self._skip]
        private = [one for one in self._collections if one.path not in self._skip]
        if self._owner.shared:
            await self._owner.shared.make_rows(public, 1)
        await self._owner.make_rows(private, 2)
        await self._stranger.make_rows(private, 1)
        await self._remember(private)
        tried: set[tuple[str, str]] = set()
        for collection in private:
            tried |= await self._attack_collection(collection)
        for collection in private:
            await self._attack_deleted(collection)
        await self._remember(private)
        for endpoint in self._endpoints:
            await self._attack_endpoint(endpoint, tried)
        for collection in private:
            await self._require_unchanged(collection, "the attacks together")
        await self._compare_numbers(private)
        self._finish()
        return self.report

    async def _remember(self, collections: Sequence[Collection]) -> None:
        """Remember the rows of the owner in *collections* and their texts."""
        self._signs.learn()
        for collection in collections:
            self._before[collection.path] = await self._stored(collection)

    # --- Resources --------------------------------------------------------------------------------

    async def _attack_collection(self, collection: Collection) -> set[tuple[str, str]]:
        """Attack *collection*. Return its path with each operation that was attacked."""
        rows = self._owner.rows.get(collection.path, [])
        if not rows:
            return set()
        tried: set[tuple[str, str]] = set()
        own = next(iter(self._stranger.rows.get(collection.path, [])), None)
        urls = dict.fromkeys([rows[0].url, own.url if own else rows[0].url])
        for url in urls:
            target = Target(collection, rows[0], url, own, self._owner, self._stranger)
            for attack in attacks_on(target):
                if await self._try(attack, collection, rows[0]):
                    tried.add((collection.path, attack.operation))
        await self._attack_parent(collection, rows[0])
        await self._attack_cursor(collection, rows[0])
        await self._attack_idempotency(collection, rows[0])
        if own:
            tried |= {
                (collection.path, name)
                for name in ("Create", "CreateBatch")
                if name in collection.operations and not self._refers(collection)
            }
        return tried

    async def _attack_deleted(self, collection: Collection) -> None:
        """Attack a row of *collection* that the owner has deleted."""
        rows = self._owner.rows.get(collection.path, [])
        if not (collection.deletes_softly and "Create" in collection.operations and rows):
            return
        try:
            row = await self._owner.create(collection, rows[0].url)
        except NotAttacked:
            return
        if await self._owner.delete(row):
            rows.append(row)
            await self._remember([collection])
            target = Target(collection, row, row.url, None, self._owner, self._stranger)
            for attack in attacks_on_deleted(target):
                await self._try(attack, collection, row)

    async def _compare_numbers(self, collections: Sequence[Collection]) -> None:
        """Note a leak where rows of the owner change a number that the stranger sees."""
        urls = [
            endpoint.path
            for endpoint in self._endpoints
            if endpoint.method == "GET" and not endpoint.collection and "{" not in endpoint.path
            if not self._is_skipped(endpoint)
        ]
        for collection in collections:
            rows = self._stranger.rows.get(collection.path, [])
            if "List" in collection.operations and rows:
                urls.append(f"{rows[0].url}?limit=100&count=exact")
        for url in await telling_urls(self._owner, self._stranger, collections, urls):
            self.leaks.append(f"GET {url}\n    → a number changes when the owner creates a row")

    def _refers(self, collection: Collection) -> bool:
        """Return whether a POST to *collection* can refer to a row of the owner."""
        tables = [row.collection.table for rows in self._owner.rows.values() for row in rows]
        return "{" in collection.path or any(
            reference.table in tables for reference in collection.references() if reference.created
        )

    async def _try(self, attack: Attack, collection: Collection, row: Row) -> bool:
        """Send *attack*, and note its leak. Return whether the answer says anything."""
        response = await self._send(attack)
        if leak := self._signs.find(response, attack, collection):
            self._note(attack, response, leak)
        elif attack.refused and not response.is_error:
            self._note(attack, response, "it succeeds")
        elif attack.refused and not attack.why and response.status_code not in _REFUSED:
            await self._compare_with_missing(attack, response, collection, row)
        elif leak := miscounts(response):
            self._note(attack, response, leak)
        if attack.method != "GET":
            await self._require_unchanged(collection, str(attack))
        if says_nothing(attack, response):
            answer = f"it answers {response.status_code}: {response.text[:300]}"
            self._answers[collection.path, attack.operation] = answer
            return False
        return True

    async def _compare_with_missing(
        self, attack: Attack, response: Response, collection: Collection, row: Row
    ) -> None:
        """Note a leak if *attack* on a missing row is answered otherwise."""
        url = replace_key(attack.url, row.key, missing_key(collection))
        if url == attack.url:  # the key is in the body
            return
        answer = await self._send(replace(attack, url=url))
        if answer.status_code != response.status_code and not _is_taken(response, answer):
            self._note(attack, response, f"a missing row answers {answer.status_code}")

    async def _attack_parent(self, collection: Collection, row: Row) -> None:
        """Note a leak if the list below a row of the owner tells that the row exists."""
        _, parents = self._owner.fill_rows(collection.path, self._collections)
        if "List" not in collection.operations or not (parents and self._owner.has(parents[-1])):
            return
        attack = Attack(operation="List", method="GET", url=row.url)
        response = await self._send(attack)
        if response.is_success:
            await self._compare_with_missing(attack, response, parents[-1].collection, parents[-1])

    async def _attack_cursor(self, collection: Collection, row: Row) -> None:
        if "List" not in collection.operations:
            return
        page = await self._owner.send("GET", f"{row.url}?limit=1")
        if page.is_success and (url := page.links.get("next", {}).get("url")):
            attack = Attack(
                operation="List", method="GET", url=url, refused=False, why="a cursor of the owner"
            )
            await self._try(attack, collection, row)

    async def _attack_idempotency(self, collection: Collection, row: Row) -> None:
        """Repeat a POST of the owner, with its Idempotency-Key and its body."""
        if "Create" not in collection.operations or not row.body:
            return
        headers = {"Idempotency-Key": secrets.token_hex(8)}
        body = self._owner.body_of(collection)
        first = await self._owner.send("POST", row.url, json=body, headers=headers)
        if first.status_code != HTTPStatus.CREATED:
            return
        content: Any = first.json() if first.content else {}
        key = collection.key_of(content)
        self._before[collection.path] = await self._stored(collection)
        attack = Attack(
            operation="Create",
            method="POST",
            url=row.url,
            json=body,
            headers=headers,
            refused=False,
            why="an Idempotency-Key of the owner",
        )
        response = await self._send(attack)
        replayed = key and any(
            collection.key_of(found) == key for found in collection.rows_in(response)
        )
        if replayed or response.headers.get("idempotency-replayed"):
            self._note(attack, response, "it replays the response to the owner; override actor()")
        elif response.is_client_error and "idempotency" in response.text:
            self._note(attack, response, "it knows the key of the owner; override actor()")

    # --- Endpoints of the application -------------------------------------------------------------

    async def _attack_endpoint(self, endpoint: Endpoint, tried: set[tuple[str, str]]) -> None:
        if self._is_skipped(endpoint):
            self.report.skipped.append(str(endpoint))
            return
        collection = endpoint.collection
        if collection is not None:
            if (collection.path, endpoint.name) in tried:
                self.report.attacked.append(str(endpoint))
            else:
                self.missed[str(endpoint)] = self._reason(collection, endpoint.name)
            return
        given = self._bodies.get(str(endpoint), self._bodies.get(endpoint.path))
        parties = self._owner, self._stranger
        try:
            attacks = [*EndpointAttacks(endpoint, *parties, self._collections, given)]
        except NotAttacked as reason:
            self.missed[str(endpoint)] = str(reason)
            return
        for one in attacks:
            if answer := await self._try_endpoint(one):
                self.missed[str(endpoint)] = f"{answer} Pass bodies={{{str(endpoint)!r}: …}}"
        if str(endpoint) not in self.missed:
            self.report.attacked.append(str(endpoint))

    async def _try_endpoint(self, one: EndpointAttack) -> str | None:
        """Send the attack *one*, and note its leak. Return an answer that says nothing."""
        attack = one.attack
        response = await self._send(attack)
        if leak := self._signs.find(response, attack):
            self._note(attack, response, leak)
        elif attack.refused and not response.is_error:
            self._note(attack, response, "it succeeds")
        elif one.row and response.status_code == HTTPStatus.FORBIDDEN:
            await self._compare_with_missing(attack, response, one.row.collection, one.row)
        if attack.method != "GET":
            for collection in self._collections:
                if collection.path in self._owner.rows:
                    await self._require_unchanged(collection, str(attack))
        if attack.why and is_invalid(response):  # perhaps because of the reference
            response = await self._send(one.control)
        if is_invalid(response) or says_nothing(attack, response):
            return f"it answers {response.status_code}: {response.text[:300]}"
        return None

    def _reason(self, collection: Collection, operation: str) -> str:
        """Return why an *operation* of *collection* was not attacked."""
        owner, stranger = (
            party.reasons.get(collection.path) for party in (self._owner, self._stranger)
        )
        if owner:
            return f"the owner has no row: {owner}"
        if stranger:
            return f"the stranger has no row of its own: {stranger}"
        return self._answers.get((collection.path, operation), "no request fits it")

    # --- Leaks ------------------------------------------------------------------------------------

    async def _send(self, attack: Attack) -> Response:
        self.report.requests += 1
        return await self._stranger.send(
            attack.method, attack.url, json=attack.json, headers=attack.headers
        )

    def _note(self, attack: Attack, response: Response, leak: str) -> None:
        self.leaks.append(f"{attack}\n    → {response.status_code}: {leak}")

    async def _stored(self, collection: Collection) -> object:
        """Return the rows of the owner, as the owner sees them."""
        stored: list[object] = []
        for row in self._owner.rows.get(collection.path, []):
            if "Get" in collection.operations:
                response = await self._owner.send("GET", row.item)
                stored.append((response.status_code, response.text if response.is_success else ""))
        rows = self._owner.rows.get(collection.path, [])
        if rows and not stored and "List" in collection.operations:
            stored.append((await self._owner.send("GET", rows[0].url)).text)
        return stored

    async def _require_unchanged(self, collection: Collection, after: str) -> None:
        now = await self._stored(collection)
        if now != self._before[collection.path]:
            self.leaks.append(f"{after}\n    → it changes rows of the owner in {collection.path}")
            self._before[collection.path] = now

    def _finish(self) -> None:
        """Raise `AssertionError` with the leaks, and with what was not attacked."""
        parts: list[str] = []
        if self.leaks:
            parts.append(
                f"{len(self.leaks)} leaks:\n" + "\n".join(f"  {one}" for one in self.leaks)
            )
        if self.missed:
            lines = [f"  {operation}: {reason}" for operation, reason in self.missed.items()]
            parts.append(
                "Operations that were not attacked (see `bodies` and `skip`):\n" + "\n".join(lines)
            )
        if not self.report.attacked and not parts:
            parts.append("No operation was attacked: the application has none in openapi.json.")
        if parts:
            raise AssertionError("\n".join(parts))


def _is_taken(response: Response, answer: Response) -> bool:
    """Return whether PUT may create a row: a taken key is a conflict, whoever has it."""
    return (response.status_code, answer.status_code) == (HTTPStatus.CONFLICT, HTTPStatus.CREATED)
