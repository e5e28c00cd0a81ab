"""Decimal places of values that no client sent."""

from decimal import Decimal

import pytest
from fastapi import FastAPI
from sqlalchemy import MetaData, Numeric
from sqlalchemy.orm import Mapped, mapped_column
from typing_extensions import override

from brickwork import (
    Database,
    ExactNumeric,
    Model,
    ReadSchema,
    Resource,
    Schema,
    crud_router,
    install,
)
from tests.support.bodies import get_json
from tests.support.calls import calling
from tests.support.tables import Tables

pytestmark = pytest.mark.anyio


class Base(Model):
    """The base of the models here, with tables of its own."""

    __abstract__ = True
    metadata = MetaData(naming_convention=Model.metadata.naming_convention)


class Price(Base):
    __tablename__ = "prices"

    id: Mapped[int] = mapped_column(primary_key=True)
    net: Mapped[Decimal] = mapped_column(Numeric(10, 2))
    tax: Mapped[Decimal] = mapped_column(ExactNumeric(10, 2), default=0)
    fee: Mapped[Decimal] = mapped_column(Numeric(10, 3), server_default="0")
    rebate: Mapped[Decimal | None] = mapped_column(Numeric(10, 1))


class PriceCreate(Schema):
    net: Decimal = Decimal(1)


class PriceUpdate(PriceCreate, partial=True): ...


class PriceRead(ReadSchema):
    id: int
    net: Decimal
    tax: Decimal
    fee: Decimal
    rebate: Decimal | None


class Prices(Resource[Price]): ...


class Reduced(Resource[Price]):
    @override
    async def create(self, row: Price, /) -> None:
        row.rebate = Decimal("1E+1")
        await super().create(row)


@pytest.mark.parametrize(("resource", "rebate"), [(Prices, None), (Reduced, "10.0")])
async def test_responses_show_the_places_of_the_column(
    tables: Tables, backend: str, resource: type[Resource[Price]], rebate: str | None
) -> None:
    router = crud_router(
        "/prices", resource, read=PriceRead, create=PriceCreate, update=PriceUpdate
    )
    app = FastAPI(lifespan=Database(await tables.of(Base.metadata, backend)).lifespan)
    install(app)
    app.include_router(router)
    shown = {"id": 1, "net": "1.00", "tax": "0.00", "fee": "0.000", "rebate": rebate}
    async with calling(app) as client:
        headers = {"idempotency-key": "k"}
        for _ in "created", "replayed":
            response = await client.post("/prices", json={}, headers=headers)
            assert response.json() == shown
        assert await get_json(client, "/prices/1") == shown
        assert (await client.put("/prices/1", json={})).json() == shown
        assert (await client.post("/prices/batch", json=[{}])).json() == [shown | {"id": 2}]
