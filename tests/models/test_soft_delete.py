"""Soft delete: columns, indexes, references and conditions."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import Engine, MetaData, create_engine, event, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Mapped, Session, mapped_column
from sqlalchemy.schema import CreateIndex, CreateTable

from brickwork import (
    Model,
    SoftDelete,
    soft_delete_conditions,
    soft_delete_foreign_key,
    unique_unless_deleted,
)
from brickwork.models.soft_delete import DeletedFilter, as_soft_deletable, is_soft_deletable

NOW = datetime(2026, 3, 1, tzinfo=UTC)
DIALECTS = (sqlite.dialect(), postgresql.dialect())  # type: ignore[no-untyped-call]


class Base(Model):
    __abstract__ = True
    metadata = MetaData(naming_convention=Model.metadata.naming_convention)


class Wall(Base, SoftDelete):
    __tablename__ = "walls"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column()
    town: Mapped[str] = mapped_column(default="")

    __table_args__ = (unique_unless_deleted("name", "town"),)


WALLS = Base.metadata.tables["walls"]


class Brick(Base, SoftDelete):
    """A row that is hidden if it or its wall is deleted."""

    __tablename__ = "bricks"

    id: Mapped[int] = mapped_column(primary_key=True)
    wall_id: Mapped[int | None]
    wall_is_deleted: Mapped[bool] = mapped_column(default=False)

    __table_args__ = (soft_delete_foreign_key("wall_id", "wall_is_deleted", Wall),)


class Crack(Base):
    """A row that is hidden if its wall is deleted."""

    __tablename__ = "cracks"

    id: Mapped[int] = mapped_column(primary_key=True)
    wall_id: Mapped[int]
    wall_is_deleted: Mapped[bool] = mapped_column(default=False)

    __table_args__ = (soft_delete_foreign_key("wall_id", "wall_is_deleted", Wall),)


class Plan(Base):
    __tablename__ = "plans"

    id: Mapped[int] = mapped_column(primary_key=True)


@pytest.fixture
def engine() -> Iterator[Engine]:
    engine = create_engine("sqlite://")

    @event.listens_for(engine, "connect")
    def enforce(connection: Any, _: object) -> None:
        connection.execute("PRAGMA foreign_keys = ON")

    Base.metadata.create_all(engine)
    yield engine
    engine.dispose()


def selected_ids(
    session: Session, model: type[Wall | Brick | Crack], which: DeletedFilter = "exclude"
) -> list[int]:
    rows: Sequence[int] = session.scalars(
        select(model.id).where(*soft_delete_conditions(model, which)).order_by(model.id)
    ).all()
    return [*rows]


def test_row_of_a_soft_delete_model_is_soft_deletable() -> None:
    wall, plan = Wall(id=1), Plan(id=1)
    assert (as_soft_deletable(wall), as_soft_deletable(plan)) == (wall, None)
    assert (is_soft_deletable(Wall), is_soft_deletable(Plan)) == (True, False)


def test_is_deleted_is_computed(engine: Engine) -> None:
    with Session(engine) as session:
        wall = Wall(id=1, name="a")
        session.add(wall)
        for deleted_at in (None, NOW, None):
            wall.deleted_at = deleted_at
            session.flush()
            assert wall.is_deleted is (deleted_at is not None)


def test_conditions_select_live_or_deleted_or_all_rows(engine: Engine) -> None:
    with Session(engine) as session:
        session.add_all([Wall(id=1, name="a"), Wall(id=2, name="b", deleted_at=NOW)])
        session.flush()
        assert selected_ids(session, Wall) == [1]
        assert selected_ids(session, Wall, "include") == [1, 2]
        assert selected_ids(session, Wall, "only") == [2]
    assert soft_delete_conditions(Plan) == soft_delete_conditions(Plan, "only") == []


def test_row_is_hidden_with_its_deleted_parent(engine: Engine) -> None:
    with Session(engine) as session:
        walls = [Wall(id=number, name=str(number)) for number in (1, 2)]
        session.add_all(walls)
        session.flush()
        session.add_all(
            [
                *(Brick(id=number, wall_id=number) for number in (1, 2)),
                Brick(id=3, wall_id=1, deleted_at=NOW),
                Brick(id=4),
                *(Crack(id=number, wall_id=number) for number in (1, 2)),
            ]
        )
        session.flush()
        shown = {"exclude": [1, 2, 4], "include": [1, 2, 3, 4], "only": [3]}
        hidden = {"exclude": [2, 4], "include": [2, 4], "only": []}
        for deleted_at, expected in ((None, shown), (NOW, hidden), (None, shown)):
            walls[0].deleted_at = deleted_at
            session.flush()
            assert {
                which: selected_ids(session, Brick, which)
                for which in ("exclude", "include", "only")
            } == expected
            assert selected_ids(session, Crack) == ([2] if deleted_at else [1, 2])


def test_reference_to_a_deleted_row_is_rejected(engine: Engine) -> None:
    with Session(engine) as session:
        session.add(Wall(id=1, name="a", deleted_at=NOW))
        session.flush()
        session.add(Crack(id=1, wall_id=1))
        with pytest.raises(IntegrityError, match="FOREIGN KEY"):
            session.flush()


def test_purge_cascades_to_referring_rows(engine: Engine) -> None:
    with Session(engine) as session:
        session.add_all(walls := [Wall(id=number, name=str(number)) for number in (1, 2)])
        session.flush()
        session.add_all(Crack(id=number, wall_id=number) for number in (1, 2))
        session.flush()
        session.delete(walls[0])
        session.flush()
        assert session.scalars(select(Crack.id)).all() == [2]


def test_only_live_rows_must_be_unique(engine: Engine) -> None:
    with Session(engine) as session:
        duplicates = [
            Wall(name="a", deleted_at=NOW),
            Wall(name="a", deleted_at=NOW),
            Wall(name="a"),
        ]
        session.add_all([*duplicates, Wall(name="a", town="b")])
        session.flush()
        duplicates[0].deleted_at = None
        with pytest.raises(IntegrityError, match="UNIQUE"):
            session.flush()


def test_table_has_one_index_for_all_references() -> None:
    assert sorted(str(index.name) for index in WALLS.indexes) == [
        "live_walls_name_town",
        "uq_walls_id_is_deleted",
    ]


@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda dialect: dialect.name)
def test_ddl_is_equal_for_both_databases(dialect: Any) -> None:
    tables = {
        table.name: str(CreateTable(table).compile(dialect=dialect))
        for table in Base.metadata.sorted_tables
    }
    assert "GENERATED ALWAYS AS (deleted_at IS NOT NULL) STORED" in tables["walls"]
    for name in ("bricks", "cracks"):
        assert (
            f"CONSTRAINT fk_{name}_wall_id_wall_is_deleted_walls "
            "FOREIGN KEY(wall_id, wall_is_deleted) REFERENCES walls (id, is_deleted) "
            "ON DELETE CASCADE ON UPDATE CASCADE"
        ) in tables[name]
    indexes = [str(CreateIndex(index).compile(dialect=dialect)) for index in WALLS.indexes]
    assert sorted(indexes) == [
        "CREATE UNIQUE INDEX live_walls_name_town ON walls (name, town) WHERE deleted_at IS NULL",
        "CREATE UNIQUE INDEX uq_walls_id_is_deleted ON walls (id, is_deleted)",
    ]
