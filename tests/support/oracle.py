"""Lists of articles in plain Python."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from random import Random
from typing import Any, Final, cast
from urllib.parse import urlencode
from uuid import UUID

from httpx2 import AsyncClient, Response

from app.articles.models import Article
from app.authors.models import Author
from tests.support.rows import Row, get_ok, insert_many, link_target, pages

ROWS: Final = 120
"""The number of articles: enough for ties in each sort column."""

TITLES = (
    *("Brick", "brick", "BRICK", "Brick%", "Brick_", "Bricks", "a", "A", "b", " a", "a ", "a, b"),
    *("100 % wool", "100 _ wool", "100 x wool", "%", "_", "\\", r"C:\bricks", r"\%", r"\\", "\\_"),
    *("it's", "'", 'say "yes"', '"', "null", "0", "-1", "a+b", "a&b=c", "#?/", "a\tb", "a\nb"),
    *("Äpfel", "äpfel", "ÄPFEL", "École", "école", "ÉCOLE", "e\u0301cole", "Straße", "STRASSE"),
    *("Ωmega", "ωMEGA", "Жук", "жук", "中文", "中", "\ufb01n", "\uffee", "🧱", "🧱 Brick", "👩‍🚀"),
)
BODIES = (
    "",
    "",
    *TITLES[::5],
    "Red BRICK, blue brick",
    "Ä é ß 中 🧱",
    "100 % \\ ' \" _",
    "x" * 5000,
)
SLUGS = ("brick", "brick-red", "red", "a", "z9")
AUTHORS = tuple(UUID(int=number << 64 | 7) for number in (1, 2, 3))
INSTANTS = (
    datetime(2, 1, 1, tzinfo=UTC),
    datetime(1969, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC),
    *(
        datetime(2024, 2, 29, 12, 0, 0, microseconds, tzinfo=UTC)
        for microseconds in (0, 1, 100_000, 123_456)
    ),
    datetime(2024, 2, 29, 13, tzinfo=UTC),
    datetime(9998, 12, 31, 23, 59, 59, tzinfo=UTC),
)
RATINGS = (-2.5, -5e-324, 0.0, 5e-324, 0.1, 0.1 + 0.2, 0.3, 1.0, 1.5, 1e16, 1.7976931348623157e308)
VIEWS = (0, 0, 1, 1, 7, 10, 2**53, 2**53 + 1, 2**63 - 1)

ORDERED = ("", "ne", "gt", "gte", "lt", "lte", "in")
TEXT = (*ORDERED, "contains", "icontains", "startswith")
OPERATORS: Final = {
    "title": TEXT,
    "slug": TEXT,
    "status": ("", "ne", "in"),
    "views": ORDERED,
    "rating": (*ORDERED, "isnull"),
    "published_at": (*ORDERED, "isnull"),
    "author_id": ("", "ne", "in", "isnull"),
    "created_at": ORDERED,
}
PARAMETERS = (
    *("q", "q", "q", "q"),
    *(
        f"{name}__{operator}".removesuffix("__")
        for name, some in OPERATORS.items()
        for operator in some
    ),
)
SORTABLE = ("title", "slug", "status", "views", "rating", "published_at", "created_at")

COMPARED: Final[dict[str, Callable[[Any, Any], bool]]] = {
    "": lambda value, wanted: value == wanted,
    "ne": lambda value, wanted: value != wanted,
    "gt": lambda value, wanted: value is not None and value > wanted,
    "gte": lambda value, wanted: value is not None and value >= wanted,
    "lt": lambda value, wanted: value is not None and value < wanted,
    "lte": lambda value, wanted: value is not None and value <= wanted,
    "in": lambda value, wanted: value in wanted,
    "contains": lambda value, wanted: wanted in value,
    "icontains": lambda value, wanted: wanted.lower() in value.lower(),
    "startswith": lambda value, wanted: value.startswith(wanted),
    "isnull": lambda value, wanted: (value is None) == wanted,
}


@dataclass(frozen=True)
class Query:
    """The query of a list: filters by their parameters, words, and keys to sort by."""

    filters: dict[str, Any]
    words: Sequence[str]
    sort: Sequence[str]

    def rows(self, rows: Sequence[Row]) -> list[Row]:
        """Return the rows of the whole list, in its order."""
        keys: dict[str, bool] = {}
        for key in self.sort:  # a repeated key has no effect
            keys.setdefault(key.removeprefix("-"), key.startswith("-"))
        *_, last = (False, *keys.values())
        found = sorted(filter(self.admits, rows), key=lambda row: row["id"], reverse=last)
        # Sorting is stable, so the last key is sorted first.
        for name, down in reversed(keys.items()):
            found.sort(key=lambda row: (row[name] is None, row[name]), reverse=down)
        return found

    def admits(self, row: Row) -> bool:
        """Return whether *row* passes each filter and contains each word."""
        for parameter, wanted in self.filters.items():
            name, _, operator = parameter.partition("__")
            if not COMPARED[operator](row[name], wanted):
                return False
        texts = (row["title"].lower(), row["body"].lower())
        return all(any(word.lower() in text for text in texts) for word in self.words)

    def url(self, rng: Random, **others: object) -> str:
        """Return the URL of the list, with parameters in random order."""
        parameters = [(name, as_text(value, rng)) for name, value in self.filters.items()]
        if self.words:
            parameters.append(("q", rng.choice((" ", "  ", "\t")).join(self.words)))
        if self.sort:
            parameters.append(("sort", ",".join(self.sort)))
        parameters += [(name, str(value)) for name, value in others.items()]
        rng.shuffle(parameters)
        return f"/articles?{urlencode(parameters)}"


def as_text(value: object, rng: Random) -> str:
    """Return *value* as text of a query, a datetime in a random zone."""
    match value:
        case tuple():
            return ",".join(as_text(item, rng) for item in cast("tuple[object, ...]", value))
        case bool():
            return str(value).lower()
        case float():
            return repr(value)
        case datetime():
            zone = timezone(timedelta(minutes=rng.choice((0, 0, 90, -720, 330))))
            return value.astimezone(zone).isoformat()
        case _:
            return str(value)


def random_articles(rng: Random) -> list[Row]:
    """Return articles with ties in all columns but `slug` and `id`, which have different orders."""
    return [
        {
            "id": UUID(int=rng.getrandbits(128)),
            "title": rng.choice(TITLES),
            "slug": f"{rng.choice(SLUGS)}-{number}",
            "body": rng.choice(BODIES),
            "status": rng.choice(("draft", "published")),
            "views": rng.choice(VIEWS),
            "rating": rng.choice((None, None, *RATINGS)),
            "published_at": rng.choice((None, None, *INSTANTS)),
            "author_id": rng.choice((None, *AUTHORS[:2])),
            "created_at": rng.choice(INSTANTS),
        }
        for number in range(ROWS)
    ]


def random_query(rng: Random, rows: Sequence[Row], turn: int) -> Query:
    """Return a query that probably finds some of *rows*, with the parameter of *turn*."""
    chosen = [PARAMETERS[turn % len(PARAMETERS)], *rng.choices(PARAMETERS, k=2)]
    chosen = chosen[: rng.randint(0, 3)]
    filters = {
        parameter: wanted_of(rng, parameter, rows) for parameter in chosen if parameter != "q"
    }
    words = [_word(rng, rows) for _ in range(rng.randint(1, 2))] if "q" in chosen else []
    keys = rng.choices(SORTABLE, k=rng.randint(0, 3))
    return Query(filters, words, [rng.choice(("", "-")) + key for key in keys])


def wanted_of(rng: Random, parameter: str, rows: Sequence[Row]) -> Any:
    name, _, operator = parameter.partition("__")
    values = [row[name] for row in rows if row[name] is not None]
    values += {"author_id": AUTHORS, "title": TITLES, "views": (2, 11), "rating": (2.0,)}.get(
        name, ()
    )
    match operator:
        case "isnull":
            return rng.random() < 0.5
        case "in":
            values = [value for value in values if "," not in str(value)]
            return tuple(rng.choices(values, k=rng.choice((1, 2, 5, 100))))
        case "contains" | "icontains" | "startswith":
            return _part(rng, operator, rng.choice(values))
        case _:
            return rng.choice(values)


def _part(rng: Random, operator: str, text: str) -> str:
    start = 0 if operator == "startswith" else rng.randrange(len(text))
    part = text[start : start + rng.randint(1, 4)]
    return part.swapcase() if operator == "icontains" or rng.random() < 0.1 else part


def _word(rng: Random, rows: Sequence[Row]) -> str:
    row = rng.choice(rows)
    words = f"{row['title']} {row['body'][:50]}".split()
    return _part(rng, "icontains", rng.choice(words)).strip()


async def faults_of_pages(
    client: AsyncClient, query: Query, rows: Sequence[Row], rng: Random
) -> list[str]:
    """Return the faults of the pages of *query*."""
    expected = [row["id"] for row in query.rows(rows)]
    limit = max(1, min(100, len(expected) // rng.randint(1, 4) + rng.randint(-1, 1)))
    offset = rng.randint(0, len(expected) + 1)
    chunks = [expected[at : at + limit] for at in range(0, len(expected), limit)] or [[]]

    forward = [page async for page in pages(client, query.url(rng, limit=limit), "next")]
    end = str(forward[-1].request.url)
    backward = [page async for page in pages(client, end, "prev")]
    counted = await get_ok(client, query.url(rng, limit=limit, count="exact"))
    last = await get_ok(client, link_target(counted, "last") or "no last")
    shifted = await get_ok(client, query.url(rng, limit=limit, offset=offset))

    right = {
        "next": [ids(page) for page in forward] == chunks,
        "prev": [ids(page) for page in backward] == chunks[::-1],
        "count": counted.headers.get("x-total-count") == str(len(expected)),
        "last": ids(last) == expected[-limit:],
        "offset": ids(shifted) == expected[offset : offset + limit],
        "prev of the first page": not link_target(forward[0], "prev"),
        "next of the last page": not link_target(last, "next"),
    }
    return [name for name, is_right in right.items() if not is_right]


def ids(response: Response) -> list[UUID]:
    """Return the ids of the rows in *response*."""
    return [UUID(row["id"]) for row in response.json()]


async def load_articles(url: str) -> list[Row]:
    """Write articles and their authors into the database at *url*; return the articles."""
    rows = random_articles(Random(0))  # noqa: S311 — the same in each run
    people = [
        {"id": key, "name": "Ada", "email": f"{key}@example.org", "bio": None} for key in AUTHORS
    ]
    await insert_many(url, Author, people)
    await insert_many(url, Article, rows)
    return rows
