"""The test that one caller cannot reach the rows of another."""

from collections.abc import Collection

from fastapi import FastAPI
from httpx2 import AsyncClient

from brickwork.testing.leak_rows import Bodies, Identity, Party
from brickwork.testing.leak_search import LeakReport, LeakSearch


async def assert_no_leaks(  # noqa: PLR0913 — two callers, and what the schemas cannot say
    app: FastAPI,
    client: AsyncClient,
    *,
    owner: Identity,
    stranger: Identity,
    bodies: Bodies | None = None,
    skip: Collection[str] = (),
) -> LeakReport:
    """Fail if *stranger* can see, find, change or refer to rows of *owner*.

    It creates rows of both through the API, with bodies from `build`. Then the stranger tries every
    operation in openapi.json on the rows of the owner: items, batches, lists with filters, counts,
    exports and deleted rows, cursors, histories, restoring, PUT, idempotency keys, and references
    in bodies. It also calls the application's own endpoints, with a key of the owner in the path,
    the query or the body: `folder_id` and `folder_ids` refer to a `Folder`, or to `/folders`.

    Each of these is a leak:

    - a success on a row of the owner, or another answer than for a missing row
    - a key or a text of the owner in a response, unless the stranger sent it
    - a changed row of the owner
    - a number in a response without a key, if it changes whenever the owner creates a row

    ```python
    from brickwork.testing import assert_no_leaks

    async def test_tenants_are_separate(app: FastAPI, client: AsyncClient) -> None:
        await assert_no_leaks(app, client, owner=bearer(ada), stranger=bearer(eve))
    ```

    Args:
        app: The application that includes the routes.
        client: A client of it, with rows of nobody.
        owner: The headers of the owner, or a function that signs the owner in:
            `lambda: sign_in(app, current_user, ada)`. The owner may do everything.
        stranger: The same for the stranger, who may do everything with its own rows.
        bodies: Fields of bodies that schemas do not tell, by the path of a collection, or by an
            operation: `{"/articles": {"slug": "a"}, "POST /reports": {"kind": "sales"}}`.
        skip: What everybody may see or do, by path or by operation:
            `{"/countries", "POST /login"}`.

    Raises:
        AssertionError: There are leaks, or operations that could not be attacked. The text lists
            both, with the reasons.

    """
    given = bodies or {}
    shared = Party(client, owner, given)
    parties = (Party(client, owner, given, shared), Party(client, stranger, given, shared))
    search = LeakSearch(app, *parties, bodies=given, skip=skip)
    return await search.run()
