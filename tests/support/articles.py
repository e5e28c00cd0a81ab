"""Rows of the reference service with fixed keys and times."""

from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID

from app.articles.models import Article
from app.authors.models import Author
from tests.support.tables import Rows

ADA, BOB = (str(UUID(int=n)) for n in (0xADA, 0xB0B))
"""The keys of authors; Bob wrote an article."""

A, B, C, D = (str(UUID(int=n)) for n in (0xA, 0xB, 0xC, 0xD))
"""The keys of articles. Their slugs are the lowercase letters; D is deleted."""

_CREATED: Final = {
    "created_at": datetime(2024, 1, 1, tzinfo=UTC),
    "updated_at": datetime(2024, 1, 1, tzinfo=UTC),
}


def _article(slug: str, **values: Any) -> dict[str, Any]:
    usual = {"body": "", "status": "draft", "views": 0, "version": 1, **_CREATED}
    others = dict.fromkeys(["rating", "published_at", "meta", "author_id", "deleted_at"])
    row = {"id": UUID(int=int(slug, 16)), "title": f"Title {slug}", "slug": slug}
    return {**row, **usual, **others, **values}


ROWS: Final[Rows] = {
    Author: [
        {"id": UUID(ADA), "name": "Ada", "email": "ada@example.org", "bio": None, **_CREATED},
        {"id": UUID(BOB), "name": "Bob", "email": "bob@example.org", "bio": None, **_CREATED},
    ],
    Article: [
        _article("a", meta={"b": [1.0, None, "ü"], "a": {}}, rating=-0.5),
        _article(
            "b", author_id=UUID(BOB), published_at=datetime.min.replace(tzinfo=UTC), views=2**63 - 1
        ),
        _article("c", body="😀\n\u2028", published_at=datetime(2024, 2, 3, 4, 5, 6, 7, UTC)),
        _article("d", deleted_at=datetime(2024, 1, 2, tzinfo=UTC)),
    ],
}
