"""A resource in a module with string annotations."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Header
from sqlalchemy import Select
from typing_extensions import override

from brickwork import Resource
from tests.support.shop import City


def wanted_prefix(prefix: Annotated[str, Header()] = "") -> str:
    """Return the prefix of the names."""
    return prefix


Prefix = Annotated[str, Depends(wanted_prefix)]


class PrefixedCities(Resource[City]):
    """The cities with names that begin with the prefix in a header."""

    prefix: Prefix

    @override
    def query(self) -> Select[City]:
        return super().query().where(City.name.startswith(self.prefix, autoescape=True))
