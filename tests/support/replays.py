"""Answers to an Idempotency-Key: replayed, first, or refused for now."""

from collections import Counter
from collections.abc import Iterable, Mapping

from fastapi import FastAPI, params
from httpx2 import Response

from app.articles.schemas import ArticleCreate, ArticleRead, ArticleUpdate
from app.models import Article
from brickwork import Database, Resource, crud_router, install

KEY = {"idempotency-key": "k"}
"""A header with a key."""


def is_replay(response: Response) -> bool:
    """Tell whether *response* is an earlier answer again."""
    value = response.headers.get("idempotency-replayed")
    assert value in {None, "true"}
    return value is not None


def comparable(response: Response) -> tuple[int, bytes, Mapping[str, str]]:
    """Return the part of *response* that its replays repeat."""
    own = {"date", "x-request-id", "idempotency-replayed"}
    headers = {name: value for name, value in response.headers.items() if name not in own}
    return response.status_code, response.content, headers


def outcome(response: Response) -> str:
    """Return what became of a POST: `created`, `replayed`, or `still running`."""
    if response.status_code == 409:
        assert response.json()["type"] == "/problems/still_running"
        assert response.headers["retry-after"] == "1"
        assert not is_replay(response)
        return "still running"
    assert response.status_code == 201, response.text
    return "replayed" if is_replay(response) else "created"


def outcomes(responses: Iterable[Response]) -> Counter[str]:
    """Return how many of *responses*, all to one request, had each outcome."""
    responses = [*responses]
    assert len({each.content for each in responses if each.is_success}) == 1
    return Counter(map(outcome, responses))


class Articles(Resource[Article]): ...


def articles_app(
    database: Database, articles: type[Resource[Article]] = Articles, *first: params.Depends
) -> FastAPI:
    """Return an application of *articles*; its requests resolve the dependencies *first*."""
    app = FastAPI(lifespan=database.lifespan, dependencies=first)
    install(app)
    app.include_router(
        crud_router(
            "/articles", articles, read=ArticleRead, create=ArticleCreate, update=ArticleUpdate
        )
    )
    return app
