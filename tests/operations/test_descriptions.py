"""Summaries and descriptions of operations, from docstrings and by default."""

from collections.abc import AsyncGenerator, Mapping
from typing import Any

import pytest
from fastapi import FastAPI
from typing_extensions import override

from app.articles.models import Article
from app.articles.schemas import ArticleRead, ArticleUpdate
from brickwork import ListQuery, Page, Resource, crud_router, install
from tests.support import blog
from tests.support.bodies import Body
from tests.support.openapi import operations_of
from tests.support.shop import Store, stores


class Described(Resource[Store]):
    """The stores of a chain.

    Each is in one country.
    """

    @override
    async def page(self, params: ListQuery[Store], /) -> Page[Store]:
        """List the stores, the newest
        first.

        Closed stores are left out.

        So are kiosks.
        """
        return await super().page(params)

    @override
    async def export(self, params: ListQuery[Store], /) -> AsyncGenerator[Store]:
        """JSON lines have the closed stores, too."""
        async for row in super().export(params):
            yield row

    @override
    async def create(self, row: Store, /) -> None:
        """Open a store.

        The keys are ours:
            they never change.
        \f
        The row has no country yet.
        """
        await super().create(row)

    @override
    async def update(self, row: Store, /, changes: Mapping[str, Any]) -> None:
        """Change a store..."""
        await super().update(row, changes)

    @override
    async def delete(self, row: Store, /) -> None:
        await super().delete(row)


class Inherited(Described):
    @override
    async def create(self, row: Store, /) -> None:
        await super().create(row)

    @override
    async def delete(self, row: Store, /) -> None:
        """Close a store."""
        await super().delete(row)


def document(resource: type[Resource[Store]], **options: Any) -> Body:
    app = FastAPI(**options)
    install(app)
    app.include_router(stores(resource))
    return app.openapi()


def texts(openapi: Body) -> dict[str, tuple[str, str | None]]:
    """Return the summary and the description of each operation by its id."""
    return {
        name: (operation["summary"], operation.get("description"))
        for name, operation in operations_of(openapi).items()
    }


ALL_OR_NONE = "This is one transaction: all of them, or none."

BY_DEFAULT = {
    "stores_list": (
        "List stores",
        "`Accept: application/x-ndjson` returns the rows of all pages, one per line.",
    ),
    "stores_create": ("Create a store", None),
    "stores_create_batch": (
        "Create a batch of stores",
        f"The response has the rows in the order of the items. {ALL_OR_NONE}",
    ),
    "stores_update_batch": (
        "Update a batch of stores",
        f"Each item is a merge patch with the key of its row. {ALL_OR_NONE}",
    ),
    "stores_delete_batch": (
        "Delete a batch of stores",
        f"The parameter `id` names a row each time. {ALL_OR_NONE}",
    ),
    "stores_get": ("Get a store", None),
    "stores_update": (
        "Update a store",
        "The body is a JSON Merge Patch (RFC 7396): omitted fields do not change.",
    ),
    "stores_replace": ("Replace a store", "An omitted field is reset to its default."),
    "stores_delete": ("Delete a store", None),
}


def test_each_operation_has_a_default_summary_and_description() -> None:
    class Plain(Resource[Store]): ...

    assert texts(document(Plain)) == BY_DEFAULT


OF_THE_LIST = """\
Closed stores are left out.

So are kiosks.

JSON lines have the closed stores, too."""


def test_docstrings_of_methods_describe_their_operations() -> None:
    _, patch = BY_DEFAULT["stores_update"]
    assert texts(document(Described)) == BY_DEFAULT | {
        "stores_list": ("List the stores, the newest first", OF_THE_LIST),
        "stores_create": ("Open a store", "The keys are ours:\n    they never change."),
        "stores_update": ("Change a store...", patch),
    }


def test_a_docstring_of_a_base_describes_an_override_without_one() -> None:
    found = texts(document(Inherited))
    assert found["stores_create"] == ("Open a store", "The keys are ours:\n    they never change.")
    assert found["stores_delete"] == ("Close a store", None)


def test_an_upsert_is_described() -> None:
    class Upserting(Resource[Store]):
        allow_upsert = True

    assert texts(document(Upserting))["stores_replace"] == (
        "Replace a store",
        "An omitted field is reset to its default. A missing row is created.",
    )


@pytest.mark.parametrize(("required", "verb"), [(False, "may"), (True, "must")])
def test_versions_of_a_batch_are_described(verb: str, *, required: bool) -> None:
    class Articles(Resource[Article]):
        require_if_match = required

    app = FastAPI()
    install(app)
    app.include_router(
        crud_router("/articles", Articles, read=ArticleRead, update=ArticleUpdate, create=None)
    )
    _, description = texts(app.openapi())["articles_update_batch"]
    sentence = f"An item {verb} name the expected version of the row."
    assert str(description).endswith(sentence)


def test_soft_delete_and_histories_are_described() -> None:
    found = texts(blog.create_app("sqlite:///unused.db").openapi())
    assert found["articles_delete"] == (
        "Delete an article",
        "The row can be restored, unless `purge=true` removes it for good.",
    )
    assert found["articles_restore"] == (
        "Restore an article",
        "This undoes a deletion. A row that is not deleted is a conflict.",
    )
    assert found["articles_history"] == (
        "List the changes of an article",
        "The newest entry comes first. An entry has the changed fields, the time and the actor.",
    )


# --- Tags -----------------------------------------------------------------------------------------


DESCRIPTION = "The stores of a chain.\n\nEach is in one country."


def test_the_docstring_of_a_resource_describes_its_tag() -> None:
    assert document(Described)["tags"] == [{"name": "stores", "description": DESCRIPTION}]


@pytest.mark.parametrize("kind", [Inherited, Resource[Store]])
def test_a_resource_without_docstring_does_not_describe_its_tag(kind: Any) -> None:
    class Plain(kind): ...  # type: ignore[misc]

    assert Plain.__doc__ is None
    assert "tags" not in document(Plain)


def test_tags_of_the_application_come_first() -> None:
    others = [{"name": "people"}, {"name": "stores", "description": "Shops."}]
    assert document(Described, openapi_tags=others)["tags"] == others
    assert document(Described, openapi_tags=others[:1])["tags"] == [
        {"name": "people"},
        {"name": "stores", "description": DESCRIPTION},
    ]


# --- Attributes of a route ------------------------------------------------------------------------


def test_a_route_may_have_another_summary_and_description() -> None:
    router = stores(Described)
    for route in router.routes:
        if getattr(route, "name", None) == "stores_create":
            vars(route).update(summary="Found a store", description="In any country.")
    app = FastAPI()
    install(app)
    app.include_router(router)
    assert texts(app.openapi())["stores_create"] == ("Found a store", "In any country.")
