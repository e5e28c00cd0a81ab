"""The benchmark: what it reads, and what it reports."""

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
from benchmarks.report import Told, write
from benchmarks.serving import ROOT
from benchmarks.startup import Figure
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
        [Figure("import brickwork", 0.5, "s"), Figure("a list", 81.25, "MB")],
        Told("One round.", {"sqlite": {"version": "3.50"}}),
        tmp_path,
    )
    told = (tmp_path / "report.md").read_text(encoding="utf-8")
    assert "| 64 | the tutorial by hand | 100 | 1.0 | 9.0 | 1000 | 3 | 0% |" in told
    assert "| 64 | <ours> | 250 | 2.5 | 3.0 | 200 | 0 | 0% |" in told
    assert "### GET" in told
    assert "version 3.50" in told
    assert "| import brickwork | 0.5 s |" in told
    assert "| a list | 81.2 MB |" in told
    drawn = (tmp_path / "sqlite.svg").read_text(encoding="utf-8")
    assert "GET, 64 clients" in drawn
    assert "&lt;ours&gt;" in drawn
    assert 'width="400"' in drawn


def test_a_batch_is_sent_by_few_and_for_long() -> None:
    assert [clients_of(BATCH, each) for each in (1, 8, 64, 256)] == [1, 8, 8, 8]
    assert clients_of("GET", 256) == 256
    assert (seconds_of(BATCH, 1), seconds_of("GET", 1)) == (3, 1)


@pytest.mark.parametrize("seconds", [1, 3, 600])
def test_writes_have_rows_for_as_long_as_there_are_any(seconds: int) -> None:
    assert room(seconds) >= min(seconds * 10_000, ROWS - FIRST)
    assert FIRST + room(seconds) <= ROWS


@pytest.mark.parametrize("contender", CONTENDERS, ids=lambda each: each.name)
def test_every_read_has_a_path(contender: Contender) -> None:
    paths = {contender.path(each) for each in ALIKE}
    assert len(paths) == len(ALIKE)
    assert all(each.startswith("/articles") for each in paths)


def test_contenders_are_chosen_by_parts_of_their_names() -> None:
    (hello,) = chosen(["hello"], quick=False)
    assert hello.name == "bare hello"
    assert {each.name for each in chosen([], quick=True)} > {"the tutorial by hand", "fast lane"}


def test_contenders_whose_library_is_missing_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.contenders.find_spec", {"fastapi": "here"}.get)
    names = {each.name for each in chosen([], quick=False)}
    assert "FastCRUD" not in names
    assert "asyncpg in FastAPI" in names


def test_fastify_is_left_out_without_a_new_node(monkeypatch: pytest.MonkeyPatch) -> None:
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


def test_operations_of_other_clients_are_charted_with_the_most_there_are() -> None:
    some = [Cell("sqlite", BATCH, n, "fast lane", [Load(n, 1, n, 0)], 0.1) for n in (1, 8)]
    drawn = chart(some)
    assert f"{BATCH}, 8 clients" in drawn
    assert "#4a7fb5" in drawn
    assert ">1/s<" not in drawn


def test_what_is_wanted_is_told_beside_what_there_is() -> None:
    loads = {"the tutorial by hand": Load(100, 30, 100, 0), "fast lane": Load(750, 2, 750, 0)}
    some = [Cell("sqlite", "GET", 64, name, [load], 0.1) for name, load in loads.items()]
    told = [*wanted.told(some)]
    assert "| sqlite GET | 64 | fast lane | the tutorial by hand | 9 | 7.50 |" in told
    assert "| sqlite GET, p99 | 64 | fast lane | the tutorial by hand | 10 | 15.00 |" in told
    assert "| sqlite POST | 64 | fast lane | the tutorial by hand | 15 | not measured |" in told


def test_all_that_is_wanted_is_of_contenders_there_are() -> None:
    names = {each.name for each in CONTENDERS}
    assert {name for each in wanted.WANTED for name in (each.ours, each.other)} <= names
    assert {each.operation for each in wanted.WANTED} <= {*OPERATIONS}
