"""A resource in a module whose annotations are strings, as many are."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Header
from sqlalchemy import Select
from typing_extensions import override

from brickwork import Resource
from tests.support.shop import City


def wanted_prefix(prefix: Annotated[str, Header()] = "") -> str:
    """Return what names are to begin with."""
    return prefix


Prefix = Annotated[str, Depends(wanted_prefix)]


class PrefixedCities(Resource[City]):
    """The cities whose name begins as a header says."""

    prefix: Prefix

    @override
    def query(self) -> Select[City]:
        return super().query().where(City.name.startswith(self.prefix, autoescape=True))
