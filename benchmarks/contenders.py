"""The contenders: the service, the tutorial, libraries, the drivers."""

from base64 import b64encode
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Final

from benchmarks.node import has_fastify
from benchmarks.operations import BATCH, LAST_SEEN, ONE, OPERATIONS, READS

_BOTH: Final = ("sqlite", "postgresql")
_ONE_BY_ONE: Final = tuple(operation for operation in OPERATIONS if operation != BATCH)


@dataclass(frozen=True)
class Contender:
    """An application, its operations, and the URLs of its pages."""

    name: str
    target: str
    """Its module and its name there, with `()` if it has to be called; or a program for Node.js."""
    needs: str = "fastapi"
    """The package that has to be installed."""
    operations: tuple[str, ...] = _ONE_BY_ONE
    databases: tuple[str, ...] = _BOTH
    listed: str = "/articles?limit={limit}"
    deep: str = "/articles?limit=20&offset=99980"
    connections: int = 10
    """The size of its pool."""
    links: bool = False
    """Whether page 5 000 begins at a cursor; `deep` is then the page before it."""
    quick: bool = False

    @property
    def is_ours(self) -> bool:
        """Return whether the contender is the reference service."""
        return self.target.startswith("benchmarks.ours:")

    def is_here(self) -> bool:
        """Return whether its package is installed."""
        if self.target.endswith(".js"):
            return has_fastify()
        return find_spec(self.needs) is not None

    def can(self, database: str, operation: str) -> bool:
        """Return whether it supports an *operation* on a *database*."""
        return database in self.databases and operation in self.operations

    def path(self, operation: str) -> str:
        """Return the path that an *operation* reads."""
        match operation:
            case "GET":
                return f"/articles/{ONE}"
            case "page 5 000":
                return self.deep
            case _:
                return self.listed.format(limit=operation.removeprefix("list of "))


def _ours(name: str, target: str, operations: tuple[str, ...] = OPERATIONS) -> Contender:
    quick = target in {"fast", "orm"}
    deep = "/articles?limit=20&offset=99960"
    return Contender(
        name,
        f"benchmarks.ours:{target}()",
        operations=operations,
        deep=deep,
        connections=20,
        links=True,
        quick=quick,
    )


def _raw(name: str, target: str, database: str, operations: tuple[str, ...]) -> Contender:
    deep = f"/articles?limit=20&after={LAST_SEEN}"
    return Contender(
        name,
        f"benchmarks{'/' if target.endswith('.js') else '.'}{target}",
        operations=operations,
        databases=(database,),
        deep=deep,
        quick=target == "bare:app",
    )


TUTORIAL: Final = "the tutorial by hand"
FAST: Final = "fast path"
CONTENDERS: Final = (
    Contender(
        TUTORIAL, "benchmarks.tutorial:app", operations=OPERATIONS, connections=15, quick=True
    ),
    _ours("ORM path", "orm"),
    _ours("fast path, each alone", "alone"),
    _ours(FAST, "fast"),
    _ours("user and query(), ORM path", "scoped_orm"),
    _ours("user and query(), fast path", "scoped_fast"),
    _ours("get() and create() overridden", "overridden", ("GET", "POST")),
    Contender(
        "FastCRUD",
        "benchmarks.peers.crud:app",
        "fastcrud",
        listed="/articles?offset=0&limit={limit}&sort=id",
        deep="/articles?offset=99980&limit=20&sort=id",
    ),
    Contender(
        "advanced-alchemy on FastAPI",
        "benchmarks.peers.alchemy:app",
        "advanced_alchemy",
    ),
    Contender(
        "fastapi-restly",
        "benchmarks.peers.restly:app",
        "fastapi_restly",
        listed="/articles?page_size={limit}&sort=id",
        deep="/articles?page=5000&page_size=20&sort=id",
    ),
    Contender(
        "Litestar + advanced-alchemy",
        "benchmarks.peers.star:app",
        "litestar",
        listed="/articles?currentPage=1&pageSize={limit}&orderBy=id&sortOrder=asc",
        deep="/articles?currentPage=5000&pageSize=20&orderBy=id&sortOrder=asc",
    ),
    Contender(
        "Django REST Framework",
        "benchmarks.peers.rest:app",
        "rest_framework",
        deep=f"/articles?limit=20&cursor={b64encode(f'p={LAST_SEEN}'.encode()).decode()}",
    ),
    _raw("asyncpg in FastAPI", "plain:app", "postgresql", _ONE_BY_ONE),
    _raw("asyncpg in bare ASGI", "bare:app", "postgresql", _ONE_BY_ONE),
    _raw("sqlite3 in bare ASGI", "inline:app", "sqlite", READS),
    _raw("Fastify with node-postgres", "peers/fastify/server.js", "postgresql", _ONE_BY_ONE),
    Contender("bare hello", "benchmarks.hello:app", operations=("GET",)),
)


def chosen(only: list[str], *, quick: bool) -> list[Contender]:
    """Return the contenders whose names contain a text of *only*, else all or the *quick* ones."""
    here = [contender for contender in CONTENDERS if contender.is_here()]
    if only:
        return [contender for contender in here if any(part in contender.name for part in only)]
    return [contender for contender in here if contender.quick or not quick]
