"""The unit-of-work executor.

It executes plans with the ORM session, and calls the methods of the resource.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Generic, TypeVar

from fastapi.exceptions import ResponseValidationError
from pydantic import BaseModel, TypeAdapter, ValidationError

from brickwork.database.triggers import reload_after_triggers
from brickwork.database.unit_of_work import unit_of_work
from brickwork.execution.batch_write import (
    BatchWrite,
    body_location,
    check_versions,
    query_location,
    reject_duplicates,
    require_all_found,
    require_new_key,
)
from brickwork.execution.fieldsets import Fieldset
from brickwork.execution.fixed_values import key_conflict, read_only_problem, reject_other_key
from brickwork.execution.joins import selects_only_columns
from brickwork.execution.plans import (
    DeleteManyPlan,
    DeletePlan,
    GetPlan,
    HistoryPlan,
    InsertManyPlan,
    InsertPlan,
    ListPlan,
    ReplacePlan,
    RestorePlan,
    UpdateManyPlan,
    UpdatePlan,
)
from brickwork.execution.results import PageResult, ReplaceResult
from brickwork.execution.write import mapped_table
from brickwork.http.conditional import (
    Preconditions,
    format_etag,
    precondition_failed,
    version_of,
)
from brickwork.http.representation import Representation, Serializer
from brickwork.models.caching import cached_per_model
from brickwork.models.model import Versioned
from brickwork.models.soft_delete import as_soft_deletable, is_soft_deletable
from brickwork.problems import (
    Conflict,
    NotFound,
    PreconditionFailed,
    PreconditionRequired,
)
from brickwork.query.keys import primary_key
from brickwork.query.pagination import Page
from brickwork.query.rereading import keeping_relationships
from brickwork.resource.changes import merge_patch, merge_patches
from brickwork.resource.checks import release_row
from brickwork.resource.defaults import replacement_values
from brickwork.resource.definition import ResourceDefinition
from brickwork.resource.related import Input, new_rows, prepare_changes, require_few
from brickwork.resource.removals import load_cascades, removes_at_depth
from brickwork.resource.resource import Resource
from brickwork.resource.row_schemas import RowSchemas
from brickwork.schemas.names import field_pointer
from brickwork.schemas.related import related_fields, stored_fields
from brickwork.schemas.schema import Schema
from brickwork.schemas.strict_json import is_array
from brickwork.tracking.audit import AuditEntry

M = TypeVar("M")


class UnitOfWorkExecutor(Generic[M]):
    """The executor of the plans of one request, in its transaction."""

    def __init__(
        self, definition: ResourceDefinition[M], resource: Resource[M], serializer: Serializer
    ) -> None:
        """Take the open *resource*, and the serializer of the route."""
        self.definition = definition
        self.resource = resource
        self._serializer = serializer
        self._session = resource.session

    # --- Reads -------------------------------------------------------------------------------

    async def get(self, plan: GetPlan) -> Representation:
        """Return the row. Raises `NotFound`."""
        row = await self.resource.get(plan.key)
        await self.definition.embedded.complete(self._session, [row])
        return self._represent_row(row)

    async def list_page(self, plan: ListPlan[M]) -> PageResult:
        """Return a page of the list."""
        if plan.fieldset:
            return await self._list_fields(plan, plan.fieldset)
        page = await self.resource.page(plan.params)
        await self.definition.embedded.complete(self._session, page.items)
        if plan.deleted:
            return PageResult(_represent_as(plan.read, page.items), page)
        if self.definition.shown.is_union:
            return PageResult(self._represent_rows(page.items), page)
        convert = _row_converter(self.definition.model, self.definition.read)
        content = self._serializer.represent([*map(convert, page.items)])
        return PageResult(content, page)

    async def _list_fields(self, plan: ListPlan[M], fieldset: Fieldset) -> PageResult:
        """Return a page with some fields of each row."""
        self.resource.load_options = fieldset.load_options(plan.params)
        page = await self.resource.page(plan.params)
        await fieldset.embedded.complete(self._session, page.items)
        body = b",".join(map(fieldset.dump, page.items))
        return PageResult(Representation(b"[" + body + b"]"), page)

    async def history(self, plan: HistoryPlan) -> Page[AuditEntry]:
        """Return a page of the audit entries of the row. Raises `NotFound`."""
        if plan.deleted:
            await self.resource.include_deleted(plan.deleted)
        return await self.resource.history(plan.key, plan.params)

    # --- Writes of one row -------------------------------------------------------------------

    async def insert(self, plan: InsertPlan) -> Representation:
        """Insert a row."""
        (row,) = await self._new_rows([Input(plan.data)])
        await self.resource.create(row)
        self.definition.require_path(row)
        return await self._flush(row)

    async def update(self, plan: UpdatePlan) -> Representation:
        """Merge a patch with the row. Raises `NotFound`, `PreconditionFailed`."""
        row = await self.resource.get(plan.key)
        await self._check_preconditions(row, plan.preconditions)
        changes = merge_patch(row, plan.data)
        await prepare_changes(
            self.resource, [row], self.definition.update, [Input(plan.data)], [changes]
        )
        return await self._update_row(row, changes)

    async def replace(self, plan: ReplacePlan) -> ReplaceResult:
        """Replace the row, or create it. Raises `NotFound`, `PreconditionFailed`."""
        (row,) = await self.resource.get_many([plan.key])
        if row is None and self.resource.allow_upsert and plan.preconditions.if_match is None:
            return ReplaceResult(await self._upsert(plan), created=True)
        if row is None:
            raise NotFound(f"{self.definition.model.__name__} not found")
        await self._check_preconditions(row, plan.preconditions)
        await self._reject_read_only(row, plan.data)
        create = self.definition.create
        changes = replacement_values(row, plan.data, stored_fields(create, type(row)))
        related = related_fields(create, self.definition.model)
        changes |= {name: getattr(plan.data, name) or [] for name in related}
        await prepare_changes(self.resource, [row], create, [Input(plan.data)], [changes])
        return ReplaceResult(await self._update_row(row, changes), created=False)

    async def delete(self, plan: DeletePlan) -> None:
        """Delete the row. Raises `NotFound`, `PreconditionFailed`."""
        resource = self.resource
        if plan.purge:
            await resource.include_deleted("include")
        try:
            row = await resource.get(plan.key)
            await self._check_preconditions(row, plan.preconditions)
            release_row(self._session, row)
            await self._load_cascades([row], purge=plan.purge)
            await (resource.purge(row) if plan.purge else resource.delete(row))
        except NotFound:
            if not plan.allow_missing:
                raise
        await self._session.flush()

    async def restore(self, plan: RestorePlan) -> Representation:
        """Undo a soft delete. Raises `NotFound`, `Conflict`, `PreconditionFailed`."""
        await self.resource.include_deleted("include")
        row = await self.resource.get(plan.key)
        await self._check_preconditions(row, plan.preconditions)
        if (marked := as_soft_deletable(row)) and marked.deleted_at is None:
            raise Conflict("The row is not deleted, so that it cannot be restored.")
        await self.resource.restore(row)
        return await self._flush(row)

    async def _load_cascades(self, rows: Sequence[M], *, purge: bool = False) -> None:
        """Load what a removal of *rows* removes with them. A soft delete removes nothing."""
        model = self.definition.model
        if (purge or not is_soft_deletable(model)) and (len(rows) > 1 or removes_at_depth(model)):
            await load_cascades(self._session, rows)

    async def _upsert(self, plan: ReplacePlan) -> Representation:
        """Create the row that a PUT names.

        Of two concurrent requests with one key, the later is retried, and updates the row.
        """
        key = primary_key(self.definition.model).parse(plan.key)
        reject_other_key(self.definition, plan.data, key)
        flush_log = unit_of_work(self._session).flush_log
        flush_log.retry_on_duplicate.add(mapped_table(self.definition).name)
        return await self.insert(InsertPlan(plan.data))

    async def _new_rows(self, inputs: Sequence[Input]) -> list[M]:
        definition = self.definition
        return await new_rows(self.resource, definition.model, definition.create, inputs)

    async def _update_row(self, row: M, changes: Mapping[str, Any]) -> Representation:
        names = primary_key(self.definition.model).names
        changed = [name for name in names if changes.get(name, own := getattr(row, name)) != own]
        if changed:
            raise key_conflict(self.definition, changed)
        await self.resource.update(row, changes)
        return await self._flush(row)

    async def _flush(self, row: M) -> Representation:
        """Flush the session, and return the written *row*."""
        await self._session.flush()
        await self._reload([row])
        return self._represent_row(row)

    async def _reload(self, rows: Sequence[M]) -> None:
        """Load what the database has changed in written *rows*."""
        await reload_after_triggers(self._session, rows)
        await self.definition.embedded.reload(self._session, rows)

    async def _reject_read_only(self, row: M, data: Schema) -> None:
        """Raise a problem if *data* changes a field that clients cannot write.

        A field that the schema of the row lacks for this caller counts as changed, unless it is the
        key.
        """
        definition = self.definition
        if not (sent := data.model_fields_set - definition.create.model_fields.keys()):
            return
        await self._session.flush()
        with keeping_relationships(self._session):
            await definition.embedded.reload(self._session, [row])
            stored = definition.shown.schema_of(row).model_validate(row, from_attributes=True)
        names = primary_key(definition.model).names
        shown: dict[str, object] = {name: getattr(row, name) for name in names}
        shown |= {name: getattr(stored, name) for name in type(stored).model_fields}
        changed = sorted(
            name
            for name in sent
            if name not in shown or _to_json(shown[name]) != getattr(data, name)
        )
        if keys := [name for name in names if name in changed]:
            raise key_conflict(definition, keys)
        if changed:
            raise read_only_problem(definition, changed)

    async def _check_preconditions(self, row: M, preconditions: Preconditions) -> None:
        """Check *preconditions* against *row*. Raises `PreconditionFailed` with its entity tag."""
        try:
            preconditions.check(row, required=self.resource.require_if_match)
        except PreconditionFailed:
            await self.definition.embedded.reload(self._session, [row])
            raise precondition_failed(self._etag(row)) from None

    def _etag(self, row: M) -> str | None:
        """Return the entity tag of *row*, of its version alone if it cannot be shown."""
        if (version := version_of(row)) is None:
            return None
        shown = self.definition.shown
        adapter = shown.adapter
        try:
            content = adapter.validate_python(shown.present(row), from_attributes=True)
        except ValidationError:
            return format_etag(version)
        return format_etag(version, adapter.dump_json(content, by_alias=True))

    def represent(self, content: object) -> Representation:
        """Return *content* as the response model has it. Raises `ResponseValidationError`."""
        return self._serializer.represent(content)

    def _represent_row(self, row: M) -> Representation:
        return self._serializer.represent(
            self._present(row), version=version_of(row), key=self.definition.key(row)
        )

    def _represent_rows(self, rows: Sequence[M]) -> Representation:
        return self._serializer.represent([self._present(row) for row in rows])

    def _present(self, row: M) -> object:
        """Return *row* in the schema of its class. Raises `ResponseValidationError`."""
        try:
            return self.definition.shown.present(row)
        except ValidationError as error:
            raise ResponseValidationError(errors=error.errors(), body=row) from None

    # --- Batches -----------------------------------------------------------------------------

    async def insert_many(self, plan: InsertManyPlan) -> Representation:
        """Insert all rows, or none."""
        definition = self.definition
        require_few(definition.create, definition.model, plan.items)

        async def load() -> Sequence[M]:
            return await self._new_rows(_batch_inputs(plan.items))

        async def insert_one(row: M, _: Schema) -> None:
            await self.resource.create(row)
            definition.require_path(row)
            require_new_key(self._session, row)

        write = BatchWrite(self.resource, plan.items, load, insert_one, body_location)
        return await self._write_batch(write)

    async def update_many(self, plan: UpdateManyPlan) -> Representation:
        """Merge all patches with their rows, or none. Raises the problems of all items."""
        definition, resource, items = self.definition, self.resource, plan.items
        key = primary_key(definition.model)
        model: type[object] = definition.model
        identifying = {*key.names, *(["version"] if issubclass(model, Versioned) else [])}
        keys = [key.value_of(item) for item in items]
        patches: dict[object, dict[str, Any]] = {}

        def locate(index: int) -> Sequence[Mapping[str, str]]:
            pointers = (field_pointer(name, definition.change, index) for name in key.names)
            return [{"pointer": pointer} for pointer in pointers]

        async def load() -> Sequence[M]:
            rows = require_all_found(definition, await resource.get_many(keys), locate)
            check_versions(definition, rows, items, required=resource.require_if_match)
            merged = merge_patches(zip(rows, items, strict=True))
            inputs = _batch_inputs(items)
            await prepare_changes(resource, rows, definition.change, inputs, merged)
            patches.update(zip(keys, merged, strict=True))
            return rows

        async def update_one(row: M, _: Schema) -> None:
            patch = patches[definition.key(row)]
            await resource.update(row, {k: patch[k] for k in patch if k not in identifying})

        reject_duplicates(keys, locate)
        require_few(definition.change, definition.model, items)
        return await self._write_batch(BatchWrite(resource, items, load, update_one, body_location))

    async def delete_many(self, plan: DeleteManyPlan) -> None:
        """Delete all rows, or none. Raises the problems of all keys."""
        definition, resource = self.definition, self.resource
        if resource.require_if_match:
            raise PreconditionRequired("Delete each of these rows alone, with an If-Match header.")
        keys = [*map(primary_key(definition.model).parse, plan.keys)]
        reject_duplicates([key for key in keys if key is not None], lambda _: [{"parameter": "id"}])

        async def load() -> Sequence[M]:
            found = await resource.get_many(plan.keys)
            rows = require_all_found(definition, found, lambda _: [{"parameter": "id"}])
            await self._load_cascades(rows)
            return rows

        async def delete_one(row: M, _: str) -> None:
            release_row(self._session, row)
            await resource.delete(row)

        await BatchWrite(resource, plan.keys, load, delete_one, query_location).run()

    async def _write_batch(self, write: BatchWrite[M, Any]) -> Representation:
        rows = await write.run()
        await self._reload(rows)
        return self._represent_rows(rows)


def _batch_inputs(items: Sequence[Schema]) -> list[Input]:
    return [Input(item, (index,)) for index, item in enumerate(items)]


def _represent_as(read: RowSchemas, items: Sequence[object]) -> Representation:
    """Return *items* in another read schema than that of the route."""
    annotation: Any = list[read.annotation]  # type: ignore[name-defined]
    adapter = TypeAdapter[Any](annotation)
    value = adapter.validate_python([*map(read.present, items)], from_attributes=True)
    return Representation(adapter.dump_json(value, by_alias=True))


@cached_per_model
def _row_converter(model: type[object], read: type[BaseModel]) -> Callable[[object], object]:
    """Return a function that converts a row to a dict of its columns, which validates faster.

    It returns the row itself if a field is no column, or is not loaded.
    """
    names = {*read.model_fields}
    only_columns = selects_only_columns(model, read)

    def convert(row: object) -> object:
        if not only_columns or type(row) is not model:
            return row
        loaded = vars(row)
        return {name: loaded[name] for name in names} if loaded.keys() >= names else row

    return convert


def _to_json(value: object) -> object:
    """Convert embedded rows in *value* to JSON; the values of columns keep their types."""
    if is_array(value):
        return [_to_json(item) for item in value]
    return value.model_dump(mode="json", by_alias=True) if isinstance(value, BaseModel) else value
