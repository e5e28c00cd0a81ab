"""The benchmark."""

import os
from pathlib import Path

import pytest

from benchmarks import node, wanted
from benchmarks.cells import Cell
from benchmarks.charts import chart
from benchmarks.contenders import CONTENDERS, Contender, chosen
from benchmarks.operations import (
    ALIKE,
    BATCH,
    FIRST,
    OPERATIONS,
    ROWS,
    clients_of,
    room,
    seconds_of,
)
from benchmarks.report import Conditions, write
from benchmarks.serving import ROOT
from benchmarks.startup import Figure
from benchmarks.wrk import Load, parsed, spread

OUTPUT = """Running 1s test @ http://127.0.0.1:8000/articles
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
def test_the_output_of_wrk_is_parsed(slowest: str, milliseconds: float) -> None:
    load = parsed(OUTPUT.format(slowest=slowest, errors=""))
    assert load == Load(5850.25, load.slowest, 5872, 0)
    assert load.slowest == pytest.approx(milliseconds)


def test_refused_and_broken_requests_are_counted() -> None:
    errors = "  Socket errors: connect 0, read 2, write 0, timeout 3\n"
    errors += "  Non-2xx or 3xx responses: 417\n"
    assert parsed(OUTPUT.format(slowest="2.00ms", errors=errors)).refused == 422


@pytest.mark.parametrize(("values", "part"), [([100], 0), ([90, 100, 110], 0.2), ([0, 0], 0)])
def test_the_spread_is_a_fraction_of_the_median(values: list[float], part: float) -> None:
    assert spread(values) == pytest.approx(part)


def test_the_report_compares_with_the_tutorial(tmp_path: Path) -> None:
    slow, quick = Load(100, 9, 100, 3), Load(250, 3, 250, 0)
    write(
        [
            Cell("sqlite", "GET", 64, "the tutorial by hand", [slow], 0.1),
            Cell("sqlite", "GET", 64, "<ours>", [quick, quick], 0.1),
        ],
        [Figure("import brickwork", 0.5, "s"), Figure("a list", 81.25, "MB")],
        Conditions("One round.", {"sqlite": {"version": "3.50"}}),
        tmp_path,
    )
    report = (tmp_path / "report.md").read_text(encoding="utf-8")
    assert "| 64 | the tutorial by hand | 100 | 1.0 | 9.0 | 1000 | 3 | 0% |" in report
    assert "| 64 | <ours> | 250 | 2.5 | 3.0 | 200 | 0 | 0% |" in report
    assert "### GET" in report
    assert "version 3.50" in report
    assert "| import brickwork | 0.5 s |" in report
    assert "| a list | 81.2 MB |" in report
    drawn = (tmp_path / "sqlite.svg").read_text(encoding="utf-8")
    assert "GET, 64 clients" in drawn
    assert "&lt;ours&gt;" in drawn
    assert 'width="400"' in drawn


def test_batches_have_fewer_clients_and_longer_loads() -> None:
    assert [clients_of(BATCH, clients) for clients in (1, 8, 64, 256)] == [1, 8, 8, 8]
    assert clients_of("GET", 256) == 256
    assert (seconds_of(BATCH, 1), seconds_of("GET", 1)) == (3, 1)


@pytest.mark.parametrize("seconds", [1, 3, 600])
def test_the_rows_of_a_load_fit_the_table(seconds: int) -> None:
    assert room(seconds) >= min(seconds * 10_000, ROWS - FIRST)
    assert FIRST + room(seconds) <= ROWS


@pytest.mark.parametrize("contender", CONTENDERS, ids=lambda contender: contender.name)
def test_every_read_has_a_path(contender: Contender) -> None:
    paths = {contender.path(operation) for operation in ALIKE}
    assert len(paths) == len(ALIKE)
    assert all(path.startswith("/articles") for path in paths)


def test_a_part_of_its_name_selects_a_contender() -> None:
    (hello,) = chosen(["hello"], quick=False)
    assert hello.name == "bare hello"
    assert {contender.name for contender in chosen([], quick=True)} > {
        "the tutorial by hand",
        "fast path",
    }


def test_a_contender_without_its_library_is_skipped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.contenders.find_spec", {"fastapi": "here"}.get)
    names = {contender.name for contender in chosen([], quick=False)}
    assert "FastCRUD" not in names
    assert "asyncpg in FastAPI" in names


def test_fastify_is_skipped_without_a_new_node(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.contenders.has_fastify", lambda: False)
    assert chosen(["Fastify"], quick=False) == []
    monkeypatch.setattr("benchmarks.contenders.has_fastify", lambda: True)
    (fastify,) = chosen(["Fastify"], quick=False)
    assert (ROOT / fastify.target).is_file()
    assert not fastify.can("sqlite", "GET")


def test_the_packages_of_fastify_name_no_registry() -> None:
    lock = (node.FOLDER / "package-lock.json").read_text(encoding="utf-8")
    assert '"resolved"' not in lock
    assert '"integrity"' in lock


@pytest.mark.parametrize(
    ("packages", "release", "is_new"),
    [
        (["fastify", "pg"], "v20.1.0", True),
        (["fastify", "pg"], "v18.20.4", False),
        (["fastify", "pg"], "", False),
        (["pg"], "v22.0.0", False),
    ],
)
def test_fastify_needs_its_packages_and_node_20(
    packages: list[str],
    release: str,
    is_new: bool,  # noqa: FBT001 — a parameter of the test
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in packages:
        folder = tmp_path / "node_modules" / name
        folder.mkdir(parents=True)
        (folder / "package.json").write_text('{"version": "1.2.3"}')
    program = tmp_path / "node"
    program.write_text(f"#!/bin/sh\necho {release}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.setattr(node, "FOLDER", tmp_path)
    node.read_release.cache_clear()
    try:
        assert node.has_fastify() is is_new
        expected = [f"node {release[1:]}", "fastify 1.2.3", "pg 1.2.3"] if is_new else []
        assert [*node.versions()] == expected
    finally:
        node.read_release.cache_clear()


def test_a_chart_without_64_clients_shows_the_largest_number() -> None:
    some = [Cell("sqlite", BATCH, n, "fast path", [Load(n, 1, n, 0)], 0.1) for n in (1, 8)]
    drawn = chart(some)
    assert f"{BATCH}, 8 clients" in drawn
    assert "#4a7fb5" in drawn
    assert ">1/s<" not in drawn


def test_the_comparison_shows_wanted_and_measured_ratios() -> None:
    loads = {"the tutorial by hand": Load(100, 30, 100, 0), "fast path": Load(750, 2, 750, 0)}
    some = [Cell("sqlite", "GET", 64, name, [load], 0.1) for name, load in loads.items()]
    report = [*wanted.comparison(some)]
    assert "| sqlite GET | 64 | fast path | the tutorial by hand | 9 | 7.50 |" in report
    assert "| sqlite GET, p99 | 64 | fast path | the tutorial by hand | 10 | 15.00 |" in report
    assert "| sqlite POST | 64 | fast path | the tutorial by hand | 15 | not measured |" in report


def test_wanted_ratios_name_known_contenders_and_operations() -> None:
    names = {contender.name for contender in CONTENDERS}
    assert {name for target in wanted.WANTED for name in (target.ours, target.other)} <= names
    assert {target.operation for target in wanted.WANTED} <= {*OPERATIONS}
