"""Responses to requests with an Idempotency-Key."""

from collections import Counter
from collections.abc import Iterable, Mapping

from fastapi import FastAPI, params
from httpx2 import Response

from app.articles.models import Article
from app.articles.schemas import ArticleCreate, ArticleRead, ArticleUpdate
from brickwork import Database, Resource, crud_router, install

KEY = {"idempotency-key": "k"}
"""A header with a key."""


def is_replay(response: Response) -> bool:
    """Return whether *response* is a replay of an earlier one."""
    value = response.headers.get("idempotency-replayed")
    assert value in {None, "true"}
    return value is not None


def comparable(response: Response) -> tuple[int, bytes, Mapping[str, str]]:
    """Return the parts of *response* that a replay repeats."""
    own = {"date", "x-request-id", "idempotency-replayed"}
    headers = {name: value for name, value in response.headers.items() if name not in own}
    return response.status_code, response.content, headers


def outcome(response: Response) -> str:
    """Return the outcome of a POST: `created`, `replayed`, or `still running`."""
    if response.status_code == 409:
        assert response.json()["type"] == "/problems/still_running"
        assert response.headers["retry-after"] == "1"
        assert not is_replay(response)
        return "still running"
    assert response.status_code == 201, response.text
    return "replayed" if is_replay(response) else "created"


def outcomes(responses: Iterable[Response]) -> Counter[str]:
    """Count the outcomes of *responses* to one request."""
    responses = [*responses]
    assert len({response.content for response in responses if response.is_success}) == 1
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
