"""What is made of a statement is made once, and forgotten with it."""

import gc
from weakref import ref

from sqlalchemy import Select, select

from brickwork.memory import remembered
from tests.support.shop import City


def test_what_is_made_of_a_statement_is_made_once_as_long_as_it_is_there() -> None:
    made: list[str] = []

    @remembered
    def described(rows: Select[City]) -> str:
        made.append(str(rows))
        return made[-1]

    all_, named = select(City), select(City).where(City.name == "Lisbon")
    texts = [described(all_), described(named), described(all_), described(select(City))]

    assert texts == [str(all_), str(named), str(all_), str(all_)]
    assert made == [str(all_), str(named), str(all_)]  # and the last is another statement


def test_a_statement_is_forgotten_though_what_was_made_of_it_is_kept() -> None:
    @remembered
    def narrowed(rows: Select[City]) -> Select[City]:
        return rows.where(City.id == 1)

    rows = select(City)
    kept, there = narrowed(rows), ref(rows)
    del rows
    gc.collect()

    assert there() is None
    assert str(kept) == str(select(City).where(City.id == 1))
