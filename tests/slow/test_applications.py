"""Random applications, compared on both paths.

The fast path and the ORM path have to respond and store equally. `--applications 2000` plays the
first 2 000 applications, and `--applications 17:18` number 17 alone.
"""

import gc
from collections.abc import Callable
from typing import Final

import pytest

from tests.support.applications.playing import running_player
from tests.support.applications.reporting import compare
from tests.support.databases import Databases

pytestmark = [pytest.mark.anyio, pytest.mark.both_paths]

_SHARES: Final = {"GET": 0.15, "POST": 0.1, "PATCH": 0.04, "DELETE": 0.04}
"""The least fraction of the requests that the fast path has to answer."""

_ENOUGH: Final = 50
"""The least number of applications for which the shares hold."""


@pytest.mark.filterwarnings("ignore:Field name .* shadows an attribute")  # in a parent
@pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SADeprecationWarning")  # some have `noload`
# Some listeners reject connections, and the driver then makes cursors that nothing awaits.
@pytest.mark.filterwarnings("ignore:coroutine 'Connection.cursor' was never awaited")
async def test_random_applications_respond_equally_on_both_paths(
    databases: Databases,
    backend: str,
    applications: range,
    record_property: Callable[[str, object], None],
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("CRITICAL")  # many of them fail on purpose
    async with running_player(databases, backend) as player:
        found = await compare(player, applications, backend)
    gc.collect()
    record_property(f"random applications on {backend}", str(found))
    if found.differences:
        pytest.fail("\n\n".join([str(found), *found.differences]), pytrace=False)
    if len(applications) >= _ENOUGH:
        few = [name for name, share in _SHARES.items() if found.share(name) < share]
        assert not few, str(found)
        assert found.refused < len(applications) / 5, str(found)
