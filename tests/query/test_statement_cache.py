"""Values that are cached per statement."""

from weakref import ref

from sqlalchemy import Select, select

from brickwork.query.statement_cache import cached_per_statement
from tests.support.garbage import collected_garbage
from tests.support.shop import City


def test_function_is_called_once_per_statement() -> None:
    calls: list[str] = []

    @cached_per_statement
    def describe(statement: Select[City]) -> str:
        calls.append(str(statement))
        return calls[-1]

    everywhere, lisbon = select(City), select(City).where(City.name == "Lisbon")
    texts = [describe(everywhere), describe(lisbon), describe(everywhere)]

    assert texts == [str(everywhere), str(lisbon), str(everywhere)]
    assert calls == [str(everywhere), str(lisbon)]


def test_equal_statement_has_its_own_entry() -> None:
    calls: list[Select[City]] = []
    describe = cached_per_statement(calls.append)
    one, other = select(City), select(City)
    describe(one)
    describe(other)

    assert calls == [one, other]


def test_cached_value_does_not_keep_its_statement_alive() -> None:
    @cached_per_statement
    def first_of(statement: Select[City]) -> Select[City]:
        return statement.where(City.id == 1)

    with collected_garbage():
        statement = select(City)
        derived, reference = first_of(statement), ref(statement)
        del statement

    assert reference() is None
    assert str(derived) == str(select(City).where(City.id == 1))
