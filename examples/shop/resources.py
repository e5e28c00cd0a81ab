"""The resources: the tree of categories, and the stock of products."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Annotated, Any
from uuid import UUID

from fastapi import Depends
from sqlalchemy import select
from typing_extensions import override

from brickwork import Conflict, ErrorDetail, ReferenceScopes, Resource, UnprocessableContent

from .models import Category, Currency, Order, OrderLine, Product, Tag


class Categories(Resource[Category]):
    """The tree of categories."""

    @override
    async def update(self, row: Category, /, changes: Mapping[str, Any]) -> None:
        if (parent_id := changes.get("parent_id")) is not None:
            await self.check_parent(row, parent_id)
        await super().update(row, changes)

    async def check_parent(self, category: Category, parent_id: UUID) -> None:
        """Check that a parent is not below its category. Raises `UnprocessableContent`."""
        above = select(Category.id, Category.parent_id).where(Category.id == parent_id)
        tree = above.cte(recursive=True)
        tree = tree.union(
            select(Category.id, Category.parent_id).where(Category.id == tree.c.parent_id)
        )
        if category.id in (await self.session.scalars(select(tree.c.id))).all():
            error = ErrorDetail(
                code="circular", detail="It is below this category.", pointer="#/parent_id"
            )
            raise UnprocessableContent("The categories would be no tree.", errors=[error])


class Tags(Resource[Tag]):
    """Words about products."""


class Products(Resource[Product]):
    """Products on sale."""


class Orders(Resource[Order]):
    """Orders, which take the stock of their products."""

    products: Annotated[Products, Depends()]

    @override
    def reference_scopes(self) -> ReferenceScopes:
        return {"lines.product_id": self.products.query()}  # no deleted products

    @override
    async def create(self, row: Order, /) -> None:
        await self.take_stock(row, Counter())
        await super().create(row)

    @override
    async def update(self, row: Order, /, changes: Mapping[str, Any]) -> None:
        before = await self.stored_pieces(row) if "lines" in changes else Counter[UUID]()
        await super().update(row, changes)
        if "lines" in changes:
            await self.take_stock(row, before)

    @override
    async def delete(self, row: Order, /) -> None:
        before = await self.stored_pieces(row)
        for product in await self.lock_products(before):
            product.stock += before[product.id]
        await super().delete(row)

    async def take_stock(self, order: Order, before: Counter[UUID]) -> None:
        """Take the stock of the lines, which were *before*, and compute the total."""
        after = count_pieces(order.lines)
        products = {row.id: row for row in await self.lock_products(before | after)}
        for key, taken in products.items():
            taken.stock += before[key] - after[key]
        order.currency = next(
            (products[key].currency for key in after if key in products), Currency.EUR
        )
        for position, line in enumerate(order.lines):
            product = products.get(line.product_id)
            if product is None:  # the flush rejects the reference
                line.price = Decimal(0)
                continue
            line.price = line.price or product.price  # a line keeps its price
            if product.stock < 0:
                detail = f"There are not so many pieces of {product.sku}."
                raise Conflict(detail, errors=[at_line(position, "quantity", "out_of_stock")])
            if product.currency is not order.currency:
                detail = "An order has one currency."
                errors = [at_line(position, "product_id", "other_currency")]
                raise UnprocessableContent(detail, errors=errors)
        order.total = sum((line.quantity * line.price for line in order.lines), Decimal(0))

    async def stored_pieces(self, order: Order) -> Counter[UUID]:
        """Return the stored pieces of each product in an order."""
        lines = select(OrderLine).where(OrderLine.order_id == order.id)
        return count_pieces(await self.session.scalars(lines))

    async def lock_products(self, keys: Iterable[UUID]) -> Sequence[Product]:
        """Lock products until the commit, in the order of their keys. Deleted products count."""
        statement = select(Product).where(Product.id.in_([*keys])).order_by(Product.id)
        with self.session.no_autoflush:  # new lines have no price yet
            return (await self.session.scalars(statement.with_for_update())).all()


def count_pieces(lines: Iterable[OrderLine]) -> Counter[UUID]:
    """Return the pieces of each product in *lines*."""
    pieces = Counter[UUID]()
    for line in lines:
        pieces[line.product_id] += line.quantity
    return pieces


def at_line(position: int, field: str, code: str) -> ErrorDetail:
    """Return the error of a field of a line."""
    detail = {"out_of_stock": "Too many.", "other_currency": "It has another currency."}[code]
    return ErrorDetail(code=code, detail=detail, pointer=f"#/lines/{position}/{field}")
