"""What is derived from a statement is derived once, and freed with the statement."""

from weakref import ref

from sqlalchemy import Select, select

from brickwork.query.statement_cache import cached_per_statement
from tests.support.garbage import collected
from tests.support.shop import City


def test_a_statement_is_described_once() -> None:
    calls: list[str] = []

    @cached_per_statement
    def describe(statement: Select[City]) -> str:
        calls.append(str(statement))
        return calls[-1]

    everywhere, lisbon = select(City), select(City).where(City.name == "Lisbon")
    texts = [describe(everywhere), describe(lisbon), describe(everywhere)]

    assert texts == [str(everywhere), str(lisbon), str(everywhere)]
    assert calls == [str(everywhere), str(lisbon)]


def test_another_statement_that_reads_the_same_is_described_again() -> None:
    calls: list[Select[City]] = []
    describe = cached_per_statement(calls.append)
    one, other = select(City), select(City)
    describe(one)
    describe(other)

    assert calls == [one, other]


def test_a_statement_is_freed_though_its_derivative_is_kept() -> None:
    @cached_per_statement
    def first_of(statement: Select[City]) -> Select[City]:
        return statement.where(City.id == 1)

    with collected():
        statement = select(City)
        kept, reference = first_of(statement), ref(statement)
        del statement

    assert reference() is None
    assert str(kept) == str(select(City).where(City.id == 1))
