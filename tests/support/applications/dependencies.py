"""Dependencies of random applications: forms, places, effects."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from functools import partial
from typing import Annotated, Any, Final, TypeAlias

from fastapi import BackgroundTasks, Body, Depends, Header, HTTPException, Query, Request, Response
from sqlalchemy import text
from starlette.types import ASGIApp, Receive, Scope, Send

from brickwork import Resource, SessionDep, get_db
from brickwork.database.unit_of_work import unit_of_work
from tests.support.applications.context import ASKING, EVE, record, tenant_of
from tests.support.applications.draft import Change, Draft, Run, of, part, subclass
from tests.support.applications.resources import add_field

Effect: TypeAlias = Callable[[Request], None]
"""The effect of a dependency."""

PLACES: Final = ("application", "router", "field", "within a field", "resource")


def start_dependencies(draft: Draft) -> None:
    """Add a dependency that sets the tenant, eligible for the fast path, to most applications."""
    if not draft.chance(0.85):
        return
    if draft.chance(0.2):
        draft.installs.append(lambda app: app.add_middleware(TenantMiddleware))
        return
    kind = draft.pick(_coroutine, _coroutine, _instance, _partial, _method)
    _place(draft, kind(say_tenant), draft.pick("application", "router", "field"))


def say_tenant(request: Request) -> None:
    """Set the tenant in all places that the application may read."""
    tenant = tenant_of(request.headers)
    request.scope["tenant"] = request.state.tenant = tenant
    ASKING.set(tenant)


class TenantMiddleware:
    """A middleware that sets the tenant before routing."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            say_tenant(Request(scope))
        await self._app(scope, receive, send)


# --- Forms of dependencies ------------------------------------------------------------------------


def _coroutine(effect: Effect) -> Any:
    async def depend(request: Request) -> str:
        record("coroutine")
        effect(request)
        return tenant_of(request.headers)

    return depend


def _function(effect: Effect) -> Any:
    def depend(request: Request) -> str:
        record("function")
        effect(request)
        return tenant_of(request.headers)

    return depend


def _asynchronous_generator(effect: Effect) -> Any:
    async def depend(request: Request) -> AsyncGenerator[str]:
        record("asynchronous generator")
        effect(request)
        yield tenant_of(request.headers)
        record("asynchronous generator ends")

    return depend


def _generator(effect: Effect) -> Any:
    def depend(request: Request) -> Generator[str]:
        record("generator")
        effect(request)
        try:
            yield tenant_of(request.headers)
        finally:
            record("generator ends")

    return depend


def _class(effect: Effect) -> Any:
    class Depended:
        def __init__(self, request: Request) -> None:
            record("class")
            effect(request)
            self.tenant = tenant_of(request.headers)

    return Depended


def _instance(effect: Effect) -> Any:
    class Dependency:
        async def __call__(self, request: Request) -> str:
            record("instance")
            effect(request)
            return tenant_of(request.headers)

    return Dependency()


def _partial(effect: Effect) -> Any:
    async def depend(name: str, request: Request) -> str:
        record(name)
        effect(request)
        return tenant_of(request.headers)

    return partial(depend, "partial")


def _method(effect: Effect) -> Any:
    class Dependency:
        async def depend(self, request: Request) -> str:
            record("method")
            effect(request)
            return tenant_of(request.headers)

    return Dependency().depend


KINDS: Final = (
    *(_coroutine, _function, _asynchronous_generator, _generator, _class, _instance, _partial),
    _method,
)


# --- Places of dependencies -----------------------------------------------------------------------


def _place(draft: Draft, call: Any, place: str, *, use_cache: bool = True) -> None:
    """Add the dependency *call* at *place*."""
    depends = Depends(call, use_cache=use_cache)
    name = f"given_{len(draft.resource.__dataclass_fields__)}"
    if place in {"application", "router"}:
        draft.dependencies.setdefault(place, []).append(depends)
    elif place == "field":
        add_field(draft, name, Annotated[Any, depends])
    elif place == "within a field":

        async def within(_: Annotated[Any, depends]) -> None:
            record("within")

        add_field(draft, name, Annotated[Any, Depends(within)])
    else:
        groups = subclass(
            of(Resource, draft.group), called="Groups", fields={"given": Annotated[Any, depends]}
        )
        add_field(draft, name, Annotated[groups, Depends()])


# --- Effects of dependencies ----------------------------------------------------------------------


def _set_database(request: Request) -> None:
    if tenant_of(request.headers) == "bob":
        request.state.database = request.state.other


def _set_other_tenant(request: Request) -> None:
    """Set Ada as the tenant of every request."""
    request.scope["tenant"] = request.state.tenant = "ada"
    ASKING.set("ada")


def _refuse(request: Request) -> None:
    tenant = tenant_of(request.headers)
    if tenant == EVE:
        raise HTTPException(401, "Who are you?", {"WWW-Authenticate": "Bearer"})
    if tenant == "bob" and request.method not in {"GET", "HEAD"}:
        raise HTTPException(403, "Not you.")


def _fail(request: Request) -> None:
    if tenant_of(request.headers) == "bob":
        raise ValueError("Broken.")


def _limit(request: Request) -> None:
    """Reject a second call for one request."""
    request.scope["called"] = request.scope.get("called", 0) + 1
    if request.scope["called"] > 1:
        raise HTTPException(429, "Too often.")


def _change_root(request: Request) -> None:
    request.scope["root_path"] = "/changed"


def _change_key(request: Request) -> None:
    key = request.scope["path_params"].get("id", "")
    if key.endswith("2"):
        request.scope["path_params"]["id"] = f"{key[:-1]}3"


def _change_headers(request: Request) -> None:
    headers = request.scope["headers"]
    dropped = {b"if-match", b"if-none-match", b"idempotency-key"}
    request.scope["headers"] = [header for header in headers if header[0] not in dropped]


def _change_query(request: Request) -> None:
    request.scope["query_string"] = b"limit=2"


def _nothing(_: Request) -> None: ...


_EFFECTS: Final = (
    *(say_tenant, *[_set_database] * 6, _set_other_tenant, _set_other_tenant, _refuse, _fail),
    *(_limit, _change_root, _change_key, _change_headers, _change_query, _nothing),
)


@part("dependency", weight=6)
def effect(draft: Draft) -> str:
    """Add a dependency of any form with an effect."""
    kind, own, place = draft.pick(*KINDS), draft.pick(*_EFFECTS), draft.pick(*PLACES)
    use_cache = draft.chance(0.85)
    _place(draft, kind(own), place, use_cache=use_cache)
    return f"{own.__name__} by {kind.__name__}, {place}{'' if use_cache else ', not cached'}"


@part("dependency")
def parameters(draft: Draft) -> str:
    async def of_query(lang: str = "en") -> str:
        ASKING.set("ada" if lang == "de" else ASKING.get())
        return lang

    async def of_number(depth: Annotated[int, Query(ge=1)] = 1) -> int:
        return depth

    async def of_header(x_level: Annotated[int, Header()] = 1) -> None:
        if x_level > 2:
            raise HTTPException(403, "Not you.")

    async def of_required(x_level: Annotated[int, Header()]) -> int:
        return x_level

    async def of_body(name: Annotated[Any, Body()] = None) -> None:
        record(f"body {name}")

    call = draft.pick(of_query, of_number, of_header, of_required, of_body)
    place = draft.pick(*PLACES)
    _place(draft, call, place)
    draft.parameters += ["lang=de", "depth=0", "depth=2"]
    draft.headers["x-level"] = ["1", "3", "x"]
    return f"{call.__name__}, {place}"


@part("dependency")
def part_of_the_answer(draft: Draft) -> str:
    async def of_header(request: Request, response: Response) -> None:
        response.headers["x-tenant"] = tenant_of(request.headers)

    async def of_status(response: Response) -> None:
        response.status_code = 203

    async def of_task(tasks: BackgroundTasks) -> None:
        tasks.add_task(record, "background")

    async def of_body(request: Request) -> None:
        record(f"{len(await request.body())} bytes")

    call, place = draft.pick(of_header, of_status, of_task, of_body), draft.pick(*PLACES)
    _place(draft, call, place)
    return f"{call.__name__}, {place}"


_Work: TypeAlias = Callable[[Any, str], Awaitable[Any]]


@part("dependency")
def session(draft: Draft) -> str:
    """Add a dependency that uses the session."""

    async def log(session: Any, tenant: str) -> None:
        if unit_of_work(session).writable:
            await session.execute(text("INSERT INTO logs VALUES (:text)"), {"text": tenant})

    async def look_up(session: Any, tenant: str) -> None:
        own = text("SELECT tenant FROM groups WHERE tenant = :tenant")
        ASKING.set(await session.scalar(own, {"tenant": tenant}) or "none")

    async def note(session: Any, tenant: str) -> None:
        session.info["tenant"] = "ada" if tenant == "bob" else "bob"

    return _working(draft, draft.pick(log, look_up, note))


@part("dependency", backend="postgresql")
def setting_of_the_transaction(draft: Draft) -> str:
    async def path(session: Any, tenant: str) -> None:
        if tenant == "bob":
            await session.execute(text("SET LOCAL search_path TO other"))

    async def setting(session: Any, tenant: str) -> None:
        own = text("SELECT set_config('app.tenant', :tenant, true)")
        await session.execute(own, {"tenant": tenant})

    return _working(draft, draft.pick(path, setting))


def _working(draft: Draft, work: _Work) -> str:
    async def depend(request: Request, session: SessionDep) -> None:
        record("session")
        await work(session, tenant_of(request.headers))

    place = draft.pick(*PLACES)
    _place(draft, depend, place)
    return f"{work.__name__}, {place}"


@part("dependency")
def override(draft: Draft) -> str:
    """Override a dependency of the router while the application runs."""

    async def given(request: Request) -> str:
        record("given")
        return tenant_of(request.headers)

    async def another(request: Request) -> str:
        record("another")
        say_tenant(request)
        ASKING.set("ada")
        return "ada"

    _place(draft, given, draft.pick("router", "field"))

    def make(run: Run) -> Callable[[], object]:
        run.app.dependency_overrides[given] = another
        return lambda: run.app.dependency_overrides.pop(given)

    start, end = draft.time()
    draft.changes.append(Change("override", make, start, end))
    return f"from request {start} to {end}"


@part("dependency")
def session_of_their_own(draft: Draft) -> None:
    """Override `get_db` while the application runs."""

    async def get_other(request: Request) -> AsyncGenerator[Any]:
        database = request.state.other
        async with database.session(readonly=request.method in {"GET", "HEAD"}) as session:
            yield session

    def make(run: Run) -> Callable[[], object]:
        run.app.dependency_overrides[get_db] = get_other
        return lambda: run.app.dependency_overrides.pop(get_db, None)

    draft.changes.append(Change("get_db", make, *draft.time()))
