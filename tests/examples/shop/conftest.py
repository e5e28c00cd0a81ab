"""Fixtures of the shop."""

import pytest

from examples.shop import main
from tests.support.calls import CreateApp


@pytest.fixture(scope="module")
def create_app() -> CreateApp:
    """Return the function that creates the shop."""
    return main.create_app
