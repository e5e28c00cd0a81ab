"""Tests of a project in several processes."""

import pytest

from tests.slow.test_plugin import CONFTEST, MAIN, TESTS
from tests.support.postgres import Postgres

pytestmark = pytest.mark.both_paths  # its processes choose


def test_each_process_has_a_database(pytester: pytest.Pytester, postgres: Postgres) -> None:
    pytester.makepyfile(main=MAIN)
    pytester.makeconftest(CONFTEST)
    pytester.makepyfile(**{f"test_teams_{number}": TESTS for number in range(4)})
    for arguments in ([], ["--database-url", postgres.url]):
        result = pytester.runpytest_subprocess("-q", "-n", "2", *arguments)
        result.assert_outcomes(passed=36)
