"""JSON Merge Patch of documents and of rows."""

from copy import deepcopy
from typing import Any

import pytest
from hypothesis import given
from sqlalchemy import MetaData, inspect
from sqlalchemy.orm import Mapped, make_transient_to_detached, mapped_column

from brickwork import Model, Schema, apply_changes, merge_patch
from brickwork.resource.changes import apply_merge_patch
from brickwork.schemas.strict_json import is_object
from tests.support.values import VALID, law

# RFC 7396, appendix A.
APPENDIX: list[tuple[Any, Any, Any]] = [
    ({"a": "b"}, {"a": "c"}, {"a": "c"}),
    ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
    ({"a": "b"}, {"a": None}, {}),
    ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
    ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
    ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
    ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
    ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
    (["a", "b"], ["c", "d"], ["c", "d"]),
    ({"a": "b"}, ["c"], ["c"]),
    ({"a": "foo"}, None, None),
    ({"a": "foo"}, "bar", "bar"),
    ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
    ([1, 2], {"a": "b", "c": None}, {"a": "b"}),
    ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
]


@pytest.mark.parametrize(("target", "patch", "result"), APPENDIX)
def test_a_patch_follows_the_appendix_of_rfc_7396(
    target: object, patch: object, result: object
) -> None:
    assert apply_merge_patch(target, patch) == result


def rfc(target: Any, patch: Any) -> Any:
    """Apply *patch* to *target* in place, by the pseudocode of RFC 7396, section 2."""
    if is_object(patch):
        if not is_object(target):
            target = {}
        for name, value in patch.items():
            if value is None:
                if name in target:
                    del target[name]
            else:
                target[name] = rfc(target.get(name), value)
        return target
    return patch


@law
@given(target=VALID, patch=VALID)
def test_a_patch_follows_the_pseudocode_of_rfc_7396(target: Any, patch: Any) -> None:
    before = deepcopy((target, patch))
    result = apply_merge_patch(target, patch)
    assert repr((target, patch)) == repr(before)  # neither argument is changed
    assert repr(result) == repr(rfc(target, patch))


@law
@given(target=VALID, patch=VALID)
def test_a_patch_is_idempotent(target: Any, patch: Any) -> None:
    once = apply_merge_patch(target, patch)
    assert repr(apply_merge_patch(once, patch)) == repr(once)


class Base(Model):
    __abstract__ = True
    metadata = MetaData()


class Plan(Base):
    __tablename__ = "plans"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    note: Mapped[str | None]
    meta: Mapped[dict[str, Any] | None]


class PlanCreate(Schema):
    name: str
    note: str | None = None
    meta: dict[str, Any] | None = None


class PlanUpdate(PlanCreate, partial=True):
    pass


def plan() -> Plan:
    """Return a plan in the state of a loaded row."""
    plan = Plan(id=1, name="a", note="b", meta={"x": {"y": 1}, "z": [1]})
    make_transient_to_detached(plan)
    return plan


def touched(row: Plan) -> set[str]:
    """Return the names of the attributes that an UPDATE would write."""
    return {attribute.key for attribute in inspect(row).attrs if attribute.history.has_changes()}


@pytest.mark.parametrize(
    ("sent", "changes"),
    [
        ({}, {}),
        ({"name": "c"}, {"name": "c"}),
        ({"note": None}, {"note": None}),
        ({"meta": None}, {"meta": None}),
        ({"meta": {}}, {"meta": {"x": {"y": 1}, "z": [1]}}),
        ({"meta": {"x": {"w": 2}}}, {"meta": {"x": {"y": 1, "w": 2}, "z": [1]}}),
        ({"meta": {"x": None, "z": []}}, {"meta": {"z": []}}),
    ],
)
def test_merge_patch_merges_sent_values_into_the_row(
    sent: dict[str, Any], changes: dict[str, Any]
) -> None:
    row = plan()
    assert merge_patch(row, PlanUpdate.model_validate(sent)) == changes
    assert touched(row) == set()


@pytest.mark.parametrize(
    ("sent", "names"),
    [
        ({}, set[str]()),
        ({"name": "a", "note": "b", "meta": {"x": {"y": 1}}}, set[str]()),
        ({"name": "c", "note": "b"}, {"name"}),
        ({"note": None}, {"note"}),
        ({"meta": {"x": {"y": 1.0}}}, {"meta"}),
        ({"meta": {"x": {"y": True}}}, {"meta"}),
        ({"meta": {"z": [1], "q": None}}, set[str]()),
    ],
)
def test_unchanged_attributes_are_not_written(sent: dict[str, Any], names: set[str]) -> None:
    row = plan()
    apply_changes(row, PlanUpdate.model_validate(sent))
    assert touched(row) == names


def test_a_mapping_replaces_values_without_a_merge() -> None:
    row = plan()
    apply_changes(row, {"name": "c", "meta": {"q": None}})
    assert (row.name, row.note, row.meta) == ("c", "b", {"q": None})


def test_the_defaults_of_a_schema_are_not_applied() -> None:
    row = plan()
    apply_changes(row, PlanCreate(name="c"))
    assert (row.name, row.note, row.meta) == ("c", "b", {"x": {"y": 1}, "z": [1]})
