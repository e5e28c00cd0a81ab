"""Rows that statements load again."""

import pytest
from sqlalchemy import ForeignKey, MetaData, inspect, select, update
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import Mapped, column_property, mapped_column, relationship, undefer

from brickwork import Model
from brickwork.query.rereading import rereading

pytestmark = pytest.mark.anyio


class Base(Model):
    """Base of the models in this module."""

    __abstract__ = True
    metadata = MetaData(naming_convention=Model.metadata.naming_convention)


class Shed(Base):
    __tablename__ = "sheds"

    id: Mapped[int] = mapped_column(primary_key=True)
    size: Mapped[int] = mapped_column()
    depth: Mapped[int] = mapped_column(deferred=True)
    tools: Mapped[list["Tool"]] = relationship(order_by="Tool.id")
    double: Mapped[int] = column_property(size * 2)


class Tool(Base):
    __tablename__ = "tools"

    id: Mapped[int] = mapped_column(primary_key=True)
    shed_id: Mapped[int] = mapped_column(ForeignKey(Shed.id))


async def test_each_statement_adds_to_the_others() -> None:
    engine = create_async_engine("sqlite+aiosqlite://")
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
    async with AsyncSession(engine, expire_on_commit=False, autoflush=False) as session:
        sheds = [Shed(id=n, size=n, depth=n, tools=[Tool(id=n)]) for n in (1, 2, 3, 4)]
        session.add_all(sheds)
        await session.commit()
        for shed in sheds:
            await session.refresh(shed, ["depth", "double"])
        read, current, changed, left = sheds
        changed.size = 7
        new = Shed(id=5, size=5, depth=5)
        session.add(new)
        await session.execute(
            update(Shed)
            .values(size=9, depth=9)
            .execution_options(synchronize_session=False, autoflush=False)
        )
        with rereading(session, current=[current]):
            few = select(Shed).where(Shed.id < 4)
            await session.execute(few.options(undefer(Shed.depth)))
            await session.execute(few)
        assert [(shed.size, shed.depth, shed.double) for shed in (read, current, changed)] == [
            (9, 9, 18),
            (2, 2, 18),
            (7, 9, 18),
        ]
        assert (left.size, left.depth, left.double, left.tools[0].id) == (4, 4, 8, 4)
        assert [tool.id for tool in read.tools] == [1]
        assert inspect(new).pending
    await engine.dispose()
