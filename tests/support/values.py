"""Strategies of JSON values, valid and invalid."""

from collections.abc import Callable
from typing import Any

from hypothesis import settings, strategies as st
from hypothesis.strategies import SearchStrategy

law = settings(deadline=None)
"""The settings of property tests, without a deadline for busy machines."""

Nesting = Callable[[SearchStrategy[Any]], SearchStrategy[Any]]


def _nesting(keys: SearchStrategy[str]) -> Nesting:
    return lambda inner: st.lists(inner, max_size=4) | st.dictionaries(keys, inner, max_size=4)


def json_of(scalars: SearchStrategy[Any], keys: SearchStrategy[str]) -> SearchStrategy[Any]:
    """Return a strategy of documents, a few levels deep."""
    return st.recursive(scalars, _nesting(keys), max_leaves=12)


_TEXT = st.text(max_size=8)
_WILD_TEXT = st.text(st.characters(), max_size=8) | st.sampled_from(("\0", "\ud800", "a\udfff"))
_SCALARS = st.none() | st.booleans()
_WILD_NUMBERS = (
    st.integers() | st.floats() | st.sampled_from((2**63, -(2**63) - 1, 10**400, float("inf")))
)

VALID = json_of(
    _SCALARS | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | _TEXT, _TEXT
)
"""Documents of RFC 8259."""

WILD = json_of(_SCALARS | _WILD_NUMBERS | _WILD_TEXT, _WILD_TEXT)
"""Documents that `documents.parse` may return, and worse ones."""
