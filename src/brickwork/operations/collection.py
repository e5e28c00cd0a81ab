"""Operations on the collection: list, export, creation."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, TypeVar

from fastapi import Header, Query, Request, Response
from pydantic import BaseModel
from typing_extensions import override

from brickwork.execution.fieldsets import Fieldsets
from brickwork.execution.insert import insert_statement
from brickwork.execution.orm_path import UnitOfWorkExecutor
from brickwork.execution.plans import InsertPlan, ListPlan
from brickwork.execution.results import PageResult
from brickwork.execution.select import list_statement
from brickwork.execution.statement import StatementOperation
from brickwork.http.links import format_links, item_path, page_links
from brickwork.http.negotiation import JSON, NDJSON, preferred_media_type
from brickwork.http.representation import Representation, Serializer, enclose
from brickwork.operations.export import export_rows
from brickwork.operations.operation import Operation
from brickwork.resource.definition import ResourceDefinition
from brickwork.resource.resource import is_exported
from brickwork.schemas.names import output_name

M = TypeVar("M")

_PREFER = Annotated[str, Header(description="`return=minimal` asks for no body (RFC 7240).")]


class List(Operation[M, ListPlan[M], PageResult]):
    """`GET /articles`, as a page or as an export."""

    def __init__(self, definition: ResourceDefinition[M]) -> None:
        """Find out whether the list can be exported."""
        super().__init__(definition)
        self._fieldsets = Fieldsets(definition)
        self._offers = (JSON, NDJSON) if is_exported(definition.resource) else (JSON,)

    @property
    @override
    def content(self) -> Any:
        rows = list[self.definition.shown.annotation]  # type: ignore[name-defined]
        query = self.definition.query
        return rows if query.__envelope__ or query.__fieldsets__ else None

    @override
    def parameters(self) -> Mapping[str, Any]:
        return {"params": Annotated[self.definition.query, Query()]}

    @override
    def statement(self) -> StatementOperation[M, ListPlan[M], PageResult]:
        return list_statement(self.definition)

    @override
    def plan(self, request: Request, values: Mapping[str, Any]) -> ListPlan[M]:
        params, scope, read = values["params"], request.scope, self.definition.shown
        deleted = getattr(params, "deleted", None)
        read = read.with_deleted_at if deleted else read
        export = preferred_media_type(request.headers.getlist("accept"), self._offers) == NDJSON
        names = params.fields if params.__fieldsets__ else None
        fieldset = None
        if names is not None:
            if deleted:
                names = (*names, output_name("deleted_at", read.fields.model_fields["deleted_at"]))
            fieldset = self._fieldsets.find(read, names, export=export)
        return ListPlan(
            params,
            read=read,
            deleted=deleted,
            fieldset=fieldset,
            export=request if export else None,
            url=(scope.get("root_path"), scope["path"], scope["query_string"]),
        )

    @override
    async def run(
        self, executor: UnitOfWorkExecutor[M], plan: ListPlan[M]
    ) -> PageResult | Response:
        resource = executor.resource
        if plan.deleted:
            await resource.include_deleted(plan.deleted)
        if plan.export:
            fieldset = plan.fieldset or self._fieldsets.whole(plan.read)
            resource.load_options = fieldset.load_options(plan.params)
            return await export_rows(plan.export, resource, plan.params, fieldset)
        return await executor.list_page(plan)

    @override
    def respond(
        self, request: Request, plan: ListPlan[M], result: PageResult, serializer: Serializer
    ) -> Response:
        if result.link is None:
            links = page_links(request, result.page)
            result.link = format_links(links)
            if self.definition.query.__envelope__:
                others = {"next": links.get("next"), "prev": links.get("prev")}
                result.content = enclose(result.content, {"total": result.page.total, **others})
        total = None if result.page.total is None else str(result.page.total)
        headers = {"Vary": "Accept", "Link": result.link, "X-Total-Count": total}
        return serializer.respond(result.content, 200, headers)


class Create(Operation[M, InsertPlan, Representation]):
    """`POST /articles`."""

    is_idempotent = True

    @property
    @override
    def writes(self) -> Sequence[type[BaseModel]]:
        return [self.definition.create]

    @override
    def parameters(self) -> Mapping[str, Any]:
        return {"data": self.definition.create, "prefer": (_PREFER, "")}

    @override
    def statement(self) -> StatementOperation[M, InsertPlan, Representation]:
        return insert_statement(self.definition)

    @override
    def plan(self, request: Request, values: Mapping[str, Any]) -> InsertPlan:
        return InsertPlan(values["data"], minimal=_wants_minimal(values["prefer"]))

    @override
    async def run(self, executor: UnitOfWorkExecutor[M], plan: InsertPlan) -> Representation:
        return await executor.insert(plan)

    @override
    def respond(
        self, request: Request, plan: InsertPlan, result: Representation, serializer: Serializer
    ) -> Response:
        headers = {"Location": item_path(request, result.key), "ETag": result.etag}
        if not plan.minimal:
            return serializer.respond(result, 201, headers)
        response = Response(status_code=201)
        for name, text in headers.items():
            if text is not None:
                response.headers[name] = text
        response.headers["Preference-Applied"] = "return=minimal"
        return response


def _wants_minimal(prefer: str) -> bool:
    items = prefer.split(",")
    preferences = (item.partition(";")[0].replace('"', "").strip() for item in items)
    return "return=minimal" in preferences
