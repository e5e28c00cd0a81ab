"""The benchmark: what it reads, and what it reports."""

from pathlib import Path

import pytest

from benchmarks.report import Cell, write
from benchmarks.wrk import Load, parsed, spread

TOLD = """Running 1s test @ http://127.0.0.1:8000/articles
  1 threads and 64 connections
  Latency Distribution
     50%   11.05ms
     99%  {slowest}
  5872 requests in 1.00s, 3.10MB read
{errors}Requests/sec:   5850.25
Transfer/sec:      3.09MB
"""


@pytest.mark.parametrize(
    ("slowest", "milliseconds"), [("21.50ms", 21.5), ("950.00us", 0.95), ("1.20s", 1200)]
)
def test_what_wrk_tells_is_read(slowest: str, milliseconds: float) -> None:
    told = parsed(TOLD.format(slowest=slowest, errors=""))
    assert told == Load(5850.25, told.slowest, 5872, 0)
    assert told.slowest == pytest.approx(milliseconds)


def test_refused_and_broken_requests_are_counted() -> None:
    errors = "  Socket errors: connect 0, read 2, write 0, timeout 3\n"
    errors += "  Non-2xx or 3xx responses: 417\n"
    assert parsed(TOLD.format(slowest="2.00ms", errors=errors)).refused == 422


@pytest.mark.parametrize(("values", "part"), [([100], 0), ([90, 100, 110], 0.2), ([0, 0], 0)])
def test_the_spread_of_rounds_is_a_part_of_their_median(values: list[float], part: float) -> None:
    assert spread(values) == pytest.approx(part)


def test_a_report_compares_with_the_tutorial(tmp_path: Path) -> None:
    slow, quick = Load(100, 9, 100, 3), Load(250, 3, 250, 0)
    write(
        [
            Cell("sqlite", "GET", 64, "the tutorial by hand", [slow], 0.1),
            Cell("sqlite", "GET", 64, "<ours>", [quick, quick], 0.1),
        ],
        "One round.",
        tmp_path,
    )
    told = (tmp_path / "report.md").read_text(encoding="utf-8")
    assert "| GET | 64 | the tutorial by hand | 100 | 1.0 | 9.0 | 1000 | 3 | 0% |" in told
    assert "| GET | 64 | <ours> | 250 | 2.5 | 3.0 | 200 | 0 | 0% |" in told
    chart = (tmp_path / "sqlite.svg").read_text(encoding="utf-8")
    assert "GET, &lt;ours&gt;" in chart
    assert 'width="400"' in chart
