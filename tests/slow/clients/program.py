"""Use of the generated client.

The argument is the URL of the service.
"""

import re
import sys
from typing import TypeVar
from urllib.parse import parse_qs, urlsplit

from client import Client
from client.api.articles import (
    articles_create,
    articles_create_batch,
    articles_delete,
    articles_delete_batch,
    articles_get,
    articles_list,
    articles_update,
    articles_update_batch,
)
from client.api.authors import authors_create
from client.models import (
    ArticleChange,
    ArticleCreate,
    ArticleCreateStatus,
    ArticleRead,
    ArticlesListCount,
    ArticlesListSortItem,
    ArticlesListStatus,
    ArticleUpdate,
    AuthorCreate,
    ProblemDetails,
)
from client.types import UNSET, Response, Unset

T = TypeVar("T")


def require(answer: T | ProblemDetails | None) -> T:
    """Return *answer*, which must be no error."""
    assert answer is not None
    assert not isinstance(answer, ProblemDetails), answer
    return answer


def problem(answer: object) -> ProblemDetails:
    """Return *answer*, which must be an error."""
    assert isinstance(answer, ProblemDetails), answer
    return answer


def fault(answer: object) -> tuple[object, ...]:
    """Return the status of the error *answer*, with the place, the code and the bound."""
    found = problem(answer)
    assert not isinstance(found.errors, Unset)
    (error,) = found.errors
    place = error.parameter if isinstance(error.pointer, Unset) else error.pointer
    return found.status, place, error.code, error.max_length


client = Client(base_url=sys.argv[1], raise_on_unexpected_status=True)

# --- POST -----------------------------------------------------------------------------------------


def create(slug: str, views: int) -> ArticleRead:
    """Create an article."""
    body = ArticleCreate(
        title=slug.upper(), slug=slug, views=views, status=ArticleCreateStatus.PUBLISHED
    )
    return require(articles_create.sync(client=client, body=body))


one, two, three = create("a", 1), create("b", 2), create("c", 3)
assert (one.title, one.version, one.rating) == ("A", 1, None)
for replayed in (None, "true"):
    response = authors_create.sync_detailed(
        client=client,
        body=AuthorCreate(name="Ada", email="ada@example.org"),
        idempotency_key="1",
    )
    assert response.headers.get("Idempotency-Replayed") == replayed

# --- GET ------------------------------------------------------------------------------------------

found = articles_get.sync_detailed(one.id, client=client)
assert require(found.parsed) == one
tag = found.headers["ETag"]


def list_page(cursor: str | Unset = UNSET) -> Response[ProblemDetails | list[ArticleRead]]:
    """Return a page of the published articles."""
    return articles_list.sync_detailed(
        client=client,
        status=ArticlesListStatus.PUBLISHED,
        views_gte=1,
        sort=[ArticlesListSortItem.VALUE_7],
        limit=2,
        count=ArticlesListCount.EXACT,
        cursor=cursor,
    )


first = list_page()
assert [article.slug for article in require(first.parsed)] == ["c", "b"]
assert first.headers["X-Total-Count"] == "3"
(target,) = re.findall(r'<([^>]*)>; rel="next"', first.headers["Link"])
((next_cursor,),) = (parse_qs(urlsplit(target).query)["cursor"],)
last = list_page(next_cursor)
assert [article.slug for article in require(last.parsed)] == ["a"]
assert 'rel="next"' not in last.headers["Link"]

# --- PATCH ----------------------------------------------------------------------------------------

changed = articles_update.sync(one.id, client=client, body=ArticleUpdate(rating=4.5), if_match=tag)
assert (require(changed).rating, require(changed).version) == (4.5, 2)
stale = articles_update.sync(one.id, client=client, body=ArticleUpdate(rating=1.0), if_match=tag)
assert problem(stale).status == 412

# --- Batches and DELETE ---------------------------------------------------------------------------

changes = [
    ArticleChange(id=two.id, views=20),
    ArticleChange(id=three.id, views=30, version=1),
]
batch = require(articles_update_batch.sync(client=client, body=changes))
assert [article.views for article in batch] == [20, 30]
new = [ArticleCreate(title="D", slug="d"), ArticleCreate(title="E", slug="e")]
ids = [article.id for article in require(articles_create_batch.sync(client=client, body=new))]
assert articles_delete_batch.sync_detailed(client=client, id=ids).status_code == 204
assert articles_delete.sync_detailed(two.id, client=client).status_code == 204

# --- Errors ---------------------------------------------------------------------------------------

missing = problem(articles_get.sync(two.id, client=client))
assert (missing.type_, missing.detail) == ("/problems/not_found", "Article not found")
taken = articles_create.sync(client=client, body=ArticleCreate(title="A", slug="a"))
assert fault(taken) == (409, "#/slug", "not_unique", UNSET)
long = articles_create.sync(client=client, body=ArticleCreate(title="a" * 201, slug="f"))
assert fault(long) == (422, "#/title", "string_too_long", 200)
none = articles_list.sync(client=client, limit=0)
assert fault(none) == (422, "limit", "greater_than_equal", UNSET)
