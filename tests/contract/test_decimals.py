"""Exact decimal numbers: stored, summed, sorted, filtered and paged as Python does."""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from decimal import Decimal
from random import Random
from typing import Any, Final, Literal

import pytest
from fastapi import FastAPI
from httpx2 import AsyncClient
from sqlalchemy import (
    CheckConstraint,
    MetaData,
    Numeric,
    column,
    func,
    insert,
    select,
    type_coerce,
    update,
)
from sqlalchemy.orm import Mapped, column_property, mapped_column

from brickwork import (
    Database,
    ExactNumeric,
    ListQuery,
    Model,
    OneOf,
    ReadSchema,
    Resource,
    Schema,
    SortBy,
    crud_router,
    install,
)
from tests.support.bodies import Body, create_row, get_json, patch_row, summary
from tests.support.calls import calling
from tests.support.databases import BACKENDS, Databases, postgres_only
from tests.support.rows import pages

pytestmark = pytest.mark.anyio

COUNT: Final = 10_000


class Base(Model):
    """The base of the model here, with tables of its own."""

    __abstract__ = True
    metadata = MetaData(naming_convention=Model.metadata.naming_convention)


class Payment(Base):
    __tablename__ = "payments"
    __table_args__ = (CheckConstraint("pieces >= 0", name="pieces"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    amount: Mapped[Decimal] = mapped_column(ExactNumeric(18, 2))
    weight: Mapped[Decimal | None] = mapped_column(Numeric(15, 3))
    count: Mapped[Decimal | None] = mapped_column(Numeric(5, 0))
    pieces: Mapped[int]
    doubled: Mapped[Decimal] = column_property(amount * 2)


class PaymentCreate(Schema):
    amount: Decimal
    weight: Decimal | None = None
    count: Decimal | None = None
    pieces: int = 1


class PaymentUpdate(PaymentCreate, partial=True): ...


class PaymentRead(ReadSchema):
    id: int
    amount: Decimal
    weight: Decimal | None
    count: Decimal | None
    pieces: int


class PaymentQuery(ListQuery[Payment]):
    amount: Decimal | None = None
    amount__ne: Decimal | None = None
    amount__gt: Decimal | None = None
    amount__gte: Decimal | None = None
    amount__lt: Decimal | None = None
    amount__lte: Decimal | None = None
    amount__in: OneOf[Decimal] | None = None
    doubled: Decimal | None = None
    doubled__gt: Decimal | None = None
    weight__gt: Decimal | None = None
    weight__lte: int | None = None
    sort: SortBy[Literal["amount", "weight"]] = None


class Payments(Resource[Payment]): ...


@dataclass(frozen=True)
class Bank:
    """An application of payments, with the numbers that it stores."""

    client: AsyncClient
    database: Database
    amounts: list[Decimal]
    weights: list[Decimal]


def create_app(database: Database) -> FastAPI:
    app = FastAPI(lifespan=database.lifespan)
    install(app)
    router = crud_router(
        "/payments",
        Payments,
        read=PaymentRead,
        create=PaymentCreate,
        update=PaymentUpdate,
        query=PaymentQuery,
    )
    app.include_router(router)
    return app


def numbers(digits: int, places: int) -> list[Decimal]:
    """Return random numbers of up to *digits* digits, the smallest and the largest among them."""
    random = Random(digits)  # noqa: S311 — not a secret
    largest = 10**digits - 1
    units = [random.randint(-(10**n), 10**n) for n in range(1, digits) for _ in range(COUNT)]
    chosen = [0, 1, -1, largest, -largest, *random.sample(units, COUNT - 5)]
    return [Decimal(unit).scaleb(-places) for unit in chosen]


@pytest.fixture(scope="module", params=BACKENDS)
async def bank(request: pytest.FixtureRequest, templates: Databases) -> AsyncIterator[Bank]:
    """Yield an application with payments of random amounts and weights."""
    databases = templates.another()
    database = Database(databases.empty(request.param))
    app = create_app(database)
    amounts, weights = numbers(18, 2), numbers(15, 3)
    async with calling(app) as client:
        async with database.writer.begin() as connection:
            await connection.run_sync(Base.metadata.create_all)
        for start in range(0, COUNT, 100):
            rows: list[Body] = [
                {"amount": str(amount), "weight": str(weight)}
                for amount, weight in zip(
                    amounts[start : start + 100], weights[start : start + 100], strict=True
                )
            ]
            response = await client.post("/payments/batch", json=rows)
            assert [row["amount"] for row in response.json()] == [row["amount"] for row in rows]
        yield Bank(client, database, amounts, weights)
    await database.dispose()
    databases.drop()


@postgres_only
async def test_nan_of_another_program_is_shown(empty_url: str) -> None:
    database = Database(empty_url)
    await database.create_all(Base.metadata)
    async with calling(create_app(database)) as client:
        for amount in (3, 1, 2):
            await create_row(client, "/payments", {"amount": amount, "weight": amount})
        async with database.session() as session:
            nan = Decimal("NaN")
            await session.execute(update(Payment).where(Payment.id == 2).values(amount=nan))
            await session.execute(update(Payment).values(weight=nan))
        row = await get_json(client, "/payments/2")
        assert (row["amount"], row["weight"]) == ("NaN", "NaN")
        assert await patch_row(client, "/payments/2", {"pieces": 2}) == {**row, "pieces": 2}
        for sort, expected in (
            ("amount", ["2.00", "3.00", "NaN"]),
            ("-amount", ["NaN", "3.00", "2.00"]),
            ("-weight,amount", ["2.00", "3.00", "NaN"]),
        ):
            path = f"/payments?limit=1&sort={sort}"
            found = [row async for page in pages(client, path, "next") for row in page.json()]
            assert [row["amount"] for row in found] == expected
        changed = await patch_row(client, "/payments/2", {"amount": "1.5"})
        assert changed["amount"] == "1.50"
        answer = await client.patch("/payments/2", json={"amount": "NaN"})
        assert summary(answer) == "422 #/amount decimal_parsing"


async def test_sums_are_exact(bank: Bank) -> None:
    async with bank.database.session() as session:
        total = await session.scalar(select(func.sum(Payment.amount)))
        doubled = await session.scalar(select(func.sum(Payment.amount * 2)))
        counted = await session.scalar(select(func.sum(Payment.amount * Payment.pieces)))
        largest = await session.scalar(select(func.max(Payment.amount)))
    assert total == counted == sum(bank.amounts)
    assert doubled == 2 * sum(bank.amounts)
    assert largest == max(bank.amounts)


async def test_arithmetic_with_integers(bank: Bank) -> None:
    numbers = (
        Payment.amount + 1,
        Payment.amount - Payment.amount,
        Payment.amount * 2,
        3 * Payment.amount,
        Payment.pieces * Payment.amount,
        Payment.amount % 2,
    )
    async with bank.database.session() as session:
        await session.execute(insert(Payment).values(amount=Decimal("3.50"), pieces=2))
        row = (await session.execute(select(*numbers).order_by(Payment.id.desc()).limit(1))).one()
        await session.rollback()
    assert [*map(str, row)] == ["4.50", "0.00", "7.00", "10.50", "7.00", "1.50"]


_RATE: Final = column("rate", ExactNumeric(18, 4))

WRONG_IN_UNITS: Final[dict[str, Callable[[Any], object]]] = {
    "amount * decimal": lambda amount: amount * Decimal("1.19"),
    "decimal * amount": lambda amount: Decimal("1.19") * amount,
    "amount * 0.5": lambda amount: amount * 0.5,
    "amount * amount": lambda amount: amount * amount,
    "amount / 8": lambda amount: amount / 8,
    "amount / amount": lambda amount: amount / amount,
    "1 / amount": lambda amount: 1 / amount,
    "amount // 2": lambda amount: amount // 2,
    "amount * rate": lambda amount: amount * _RATE,
    "amount + rate": lambda amount: amount + _RATE,
    "amount > rate": lambda amount: amount > _RATE,
    "amount == pieces": lambda amount: amount == Payment.pieces,
    "amount < weight": lambda amount: amount < Payment.weight,
}


@pytest.mark.parametrize("term", WRONG_IN_UNITS)
def test_arithmetic_that_units_would_falsify_is_refused(term: str) -> None:
    with pytest.raises(TypeError, match="in SQL"):
        WRONG_IN_UNITS[term](Payment.amount)


async def test_average_with_a_type_has_the_places_of_the_column(bank: Bank) -> None:
    average = type_coerce(func.avg(Payment.amount), ExactNumeric(18, 2))
    some = (Payment.amount < Decimal(10**6), Payment.amount > Decimal(-(10**6)))
    async with bank.database.session() as session:
        mean = await session.scalar(select(average).where(*some))
        amounts = [*await session.scalars(select(Payment.amount).where(*some))]
    assert mean is not None
    assert mean.as_tuple().exponent == -2
    assert abs(mean - sum(amounts, Decimal(0)) / len(amounts)) <= Decimal("0.01")


@pytest.mark.parametrize("field", ["amount", "weight"])
async def test_pages_are_sorted_as_numbers(bank: Bank, field: str) -> None:
    found = [
        Decimal(row[field])
        async for page in pages(bank.client, f"/payments?sort=-{field}&limit=100", "next")
        for row in page.json()
    ]
    stored = {"amount": bank.amounts, "weight": bank.weights}[field]
    assert found == sorted(stored, reverse=True)


BOUNDS: Final = ("0", "0.01", "-12.345", "99.999", "1e15", "9999999999999999.99", "-1e17", "1e40")


@pytest.mark.parametrize("bound", BOUNDS)
@pytest.mark.parametrize("operator", ["", "__ne", "__gt", "__gte", "__lt", "__lte"])
async def test_filters_compare_as_python_does(bank: Bank, operator: str, bound: str) -> None:
    value = Decimal(bound)
    compare: dict[str, Any] = {
        "": value.__eq__,
        "__ne": value.__ne__,
        "__gt": value.__lt__,
        "__gte": value.__le__,
        "__lt": value.__gt__,
        "__lte": value.__ge__,
    }
    response = await bank.client.get(
        "/payments", params={f"amount{operator}": bound, "count": "exact", "limit": 1}
    )
    expected = sum(map(compare[operator], bank.amounts))
    assert response.headers["x-total-count"] == str(expected)


async def test_other_filters(bank: Bank) -> None:
    one, other = bank.amounts[10:12]
    rows = await get_json(bank.client, f"/payments?amount__in={one},{other},0.001")
    assert {row["amount"] for row in rows} == {str(one), str(other)}
    assert await get_json(bank.client, "/payments?weight__gt=999999999999.9989&weight__lte=5") == []
    largest = await get_json(bank.client, "/payments?weight__gt=999999999999.9985")
    assert [row["weight"] for row in largest] == ["999999999999.999"]


INVALID: Final[list[tuple[Any, str]]] = [
    ("0.001", "422 #/amount decimal_max_places"),
    (0.0125, "422 #/amount decimal_max_places"),
    ("10000000000000000", "422 #/amount decimal_max_digits"),
    (10**17, "422 #/amount decimal_max_digits"),
    ("1e999", "422 #/amount decimal_max_digits"),
    ("1e9999", "422 #/amount decimal_parsing"),
    ("NaN", "422 #/amount decimal_parsing"),
    ("Infinity", "422 #/amount decimal_parsing"),
    ("1_000", "422 #/amount decimal_parsing"),
    (" 1", "422 #/amount decimal_parsing"),
    ("\u0661", "422 #/amount decimal_parsing"),
    ("", "422 #/amount decimal_parsing"),
    (True, "422 #/amount decimal_type"),
    ([], "422 #/amount decimal_type"),
    (None, "422 #/amount not_nullable"),
]


@pytest.mark.parametrize(("value", "expected"), INVALID)
async def test_other_values_are_rejected(bank: Bank, value: Any, expected: str) -> None:
    assert summary(await bank.client.post("/payments", json={"amount": value})) == expected


@pytest.mark.parametrize("bound", BOUNDS)
async def test_filter_of_an_expression(bank: Bank, bound: str) -> None:
    response = await bank.client.get(
        "/payments", params={"doubled__gt": bound, "count": "exact", "limit": 1}
    )
    largest = Decimal(10**18 - 1).scaleb(-2)
    expected = sum(2 * amount > min(Decimal(bound), largest) for amount in bank.amounts)
    assert response.headers["x-total-count"] == str(expected)
    assert (await get_json(bank.client, "/payments?doubled=0.005")) == []


async def test_whole_number_is_shown_without_an_exponent(bank: Bank) -> None:
    row = await create_row(bank.client, "/payments", {"amount": "1", "count": "1e4"})
    assert row["count"] == "10000"
    assert await get_json(bank.client, f"/payments/{row['id']}") == row
    await bank.client.delete(f"/payments/{row['id']}")


async def test_number_of_a_body_passes_no_double(bank: Bank) -> None:
    body = b'{"amount": 9007199254740993.01}'
    headers = {"content-type": "application/json"}
    row = (await bank.client.post("/payments", content=body, headers=headers)).json()
    assert row["amount"] == "9007199254740993.01"
    assert await get_json(bank.client, f"/payments/{row['id']}") == row
    await bank.client.delete(f"/payments/{row['id']}")


async def test_failed_check_of_an_integer_names_it_beside_decimals(bank: Bank) -> None:
    response = await bank.client.post("/payments", json={"amount": 1, "pieces": -1})
    assert summary(response) == "422 #/pieces check_failed"
