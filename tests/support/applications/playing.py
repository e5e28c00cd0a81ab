"""Requests to an application on each path, and their comparison."""

import asyncio
import re
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final

from httpx2 import AsyncClient, Response
from typing_extensions import override

from brickwork import Database
from tests.support.applications.context import CALLS
from tests.support.applications.draft import Run
from tests.support.applications.drawing import Application
from tests.support.applications.requests import NEW, NEXT, TAG, PlannedRequest
from tests.support.applications.tables import Store, store
from tests.support.calls import client_of
from tests.support.databases import Databases
from tests.support.recording import record_fast_path

_PATHS: Final[dict[str, dict[str, bool]]] = {
    "fast": {"fast_path": True},
    "fast without coalescing": {"fast_path": True, "coalesce": False},
    "ORM": {"fast_path": False},
}
_PATIENCE: Final = 60  # seconds


@dataclass(frozen=True)
class Answer:
    """A response without the values that differ between runs, and its function calls."""

    status: int
    headers: Sequence[tuple[str, str]]
    body: str
    calls: Sequence[str]


@dataclass(frozen=True)
class Outcome:
    """The responses to concurrent requests, and the rows after them."""

    answers: Sequence[Answer]
    rows: Sequence[str]
    fast: int = field(compare=False)
    """The number of responses of the fast path."""


@dataclass(frozen=True)
class Difference:
    """A difference between a path and the ORM path."""

    path: str
    step: int
    asked: Sequence[PlannedRequest]
    outcomes: Mapping[str, Outcome]


@dataclass(frozen=True)
class Comparison:
    """The result of the requests to an application."""

    asked: Mapping[str, int]
    """The numbers of requests, by their methods."""
    fast: Mapping[str, int]
    """The numbers of requests on the fast path, by their methods."""
    statuses: Mapping[int, int]
    difference: Difference | None


class _Explaining(Database):
    @override
    async def translate_error(self, *arguments: Any, **options: Any) -> Any:
        return await super().translate_error(*arguments, **options)


class _Opening(Database):
    @override
    def session(self, **options: Any) -> Any:
        return self._named(**options)

    @asynccontextmanager
    async def _named(self, **options: Any) -> AsyncGenerator[Any]:
        async with super().session(**options) as session:
            session.info["tenant"] = "ada"
            yield session


_OWN: Final = {"explained": _Explaining, "sessions": _Opening}


class Player:
    """A player of applications over two databases; some dependencies choose the second one."""

    def __init__(self, urls: Sequence[str], stores: Sequence[Store]) -> None:
        """Connect to nothing yet."""
        self._urls = urls
        self._stores = stores
        self._usual = {name: self._databases(options) for name, options in _PATHS.items()}

    async def play(self, application: Application) -> Comparison:
        """Send all requests on each path, and return the first difference, if any."""
        outcomes: dict[str, Sequence[Outcome]] = {}
        own = application.database
        for name, options in _PATHS.items():
            databases = self._databases(options, **own) if own else self._usual[name]
            outcomes[name] = await self._played(application, databases)
            if application.changes or own:  # they may leave connections in another state
                for database in databases:
                    await database.dispose()
        statuses = Counter(
            answer.status for outcome in outcomes["ORM"] for answer in outcome.answers
        )
        asked, fast = Counter[str](), Counter[str]()
        for step, outcome in zip(application.steps, outcomes["fast"], strict=True):
            method = step[0].method  # concurrent requests have the same method
            asked[method] += len(step)
            fast[method] += outcome.fast
        return Comparison(asked, fast, statuses, _difference(application, outcomes))

    async def close(self) -> None:
        """Disconnect."""
        for databases in self._usual.values():
            for database in databases:
                await database.dispose()
        for own in self._stores:
            await own.close()

    def _databases(self, options: Mapping[str, Any], **own: Any) -> Sequence[Database]:
        kind = next((_OWN[name] for name in own if name in _OWN), Database)
        others = {name: value for name, value in own.items() if name not in _OWN}
        return [kind(url, **options, **others) for url in self._urls]

    async def _played(
        self, application: Application, databases: Sequence[Database]
    ) -> Sequence[Outcome]:
        for tables in self._stores:
            await tables.fill()
        database, other = databases
        run = Run(application.app, database, other)
        state = {"database": database, "other": other}
        client = client_of(application.app, state, root_path=application.root_path)
        with ExitStack() as undone:
            conversation = _Conversation(client, self._rows, application)
            undoing: dict[int, Callable[[], object]] = {}
            undone.callback(lambda: [undo() for undo in undoing.values()])
            outcomes: list[Outcome] = []
            for step, asked in enumerate(application.steps):
                for index, change in enumerate(application.changes):
                    if change.end == step and index in undoing:
                        undoing.pop(index)()
                    if change.start == step:
                        undoing[index] = change.make(run)
                outcomes.append(await conversation.outcome(asked))
        return outcomes

    async def _rows(self) -> Sequence[str]:
        found = [await tables.rows() for tables in self._stores]
        names = ("main", "other")
        return sorted(
            mask(f"{name} {row}") for name, rows in zip(names, found, strict=True) for row in rows
        )


class _Conversation:
    """Requests that may refer to earlier responses."""

    def __init__(
        self, client: AsyncClient, rows: Callable[[], Any], application: Application
    ) -> None:
        self._client = client
        self._rows = rows
        self._root = application.root_path
        self._last = {NEW: application.row, NEXT: application.path, TAG: '"1"'}

    async def outcome(self, asked: Sequence[PlannedRequest]) -> Outcome:
        """Send the requests of one step concurrently."""
        with record_fast_path() as taken:
            tasks = [asyncio.create_task(self._response(request)) for request in asked]
            async with asyncio.timeout(_PATIENCE):
                answers = [await task for task in tasks]
        if len(asked) == 1:
            self._remember(answers[0][0])
        found = [_answer(request, *answer) for request, answer in zip(asked, answers, strict=True)]
        return Outcome(found, await self._rows(), sum(taken))

    async def _response(self, asked: PlannedRequest) -> tuple[Response, Sequence[str]]:
        """Send a request, and return the response and the functions that were called."""
        calls: list[str] = []
        CALLS.set(calls)
        target = self._last.get(asked.target, asked.target)
        headers = [(name, self._last.get(value, value)) for name, value in asked.headers]
        response = await self._client.request(
            asked.method,
            "/",
            headers=headers,
            content=asked.body,
            extensions={"target": target.encode()},
        )
        return response, calls

    def _remember(self, response: Response) -> None:
        if "location" in response.headers:
            self._last[NEW] = response.headers["location"].removeprefix(self._root)
        if link := response.links.get("next", response.links.get("prev", {})).get("url"):
            self._last[NEXT] = link.removeprefix(self._root)
        if "etag" in response.headers:
            self._last[TAG] = response.headers["etag"]


def _answer(asked: PlannedRequest, response: Response, calls: Sequence[str]) -> Answer:
    own = [(k.decode(), mask(v.decode())) for k, v in response.headers.raw]
    if (
        not response.text or mask(response.text) != response.text
    ):  # the tag covers the masked values
        own = [(name, _DIGEST.sub("-DIGEST", value)) for name, value in own]
    if "count=estimated" in asked.target + response.headers.get(
        "link", ""
    ):  # an estimate of the planner
        own = [header for header in own if header[0] != "x-total-count"]
    length = ("content-length", str(len(response.content)))
    if length in own:  # a timestamp with fewer digits makes it smaller
        own[own.index(length)] = ("content-length", "right")
    return Answer(int(response.status_code), own, mask(response.text), calls)


def _difference(
    application: Application, outcomes: Mapping[str, Sequence[Outcome]]
) -> Difference | None:
    """Return the first difference from the ORM path."""
    for step, asked in enumerate(application.steps):
        for name, own in outcomes.items():
            if own[step] != outcomes["ORM"][step]:
                both = {path: outcomes[path][step] for path in (name, "ORM")}
                return Difference(name, step, asked, both)
    return None


_DIGEST: Final = re.compile("-[0-9a-f]{20}")
"""The digest in an entity tag."""

_MASKS: Final = [
    (re.compile(pattern), name)
    for pattern, name in (
        (r"20(?:2[5-9]|[3-9]\d)-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|\+00:00)?", "INSTANT"),
        (r'(etag": ?".*?)-[0-9a-f]{20}', r"\1-DIGEST"),
        (r"cursor=[\w.%-]+", "cursor=CURSOR"),
        (r"\b[0-9a-f]{8}-[0-9a-f]{4}-[1-8][0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}\b", "KEY"),
        (r"\b[0-9a-f]{12}[1-8][0-9a-f]{19}\b", "KEY"),
        (r"\b1\d{5}\b", "KEY"),
    )
]


def mask(text: str) -> str:
    """Return *text* without generated values: new keys, cursors, timestamps since 2025."""
    for pattern, name in _MASKS:
        text = pattern.sub(name, text)
    return text


@asynccontextmanager
async def running_player(databases: Databases, backend: str) -> AsyncGenerator[Player]:
    """Yield a player over two new databases."""
    urls = [databases.empty(backend) for _ in range(2)]
    stores: list[Store] = []
    for url, name in zip(urls, ("", "other "), strict=True):
        database = Database(url)
        stores.append(await store(database, name))
        await database.dispose()
    player = Player(urls, stores)
    try:
        yield player
    finally:
        await player.close()
