"""Schemathesis against the running service: it reads openapi.json, and tries to prove it wrong.

Here with a fixed number of examples from a fixed seed; `make fuzz SECONDS=600` takes its time and
a seed that it prints, and `make fuzz SECONDS=600 SEED=…` starts from that seed again.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.support.processes import ROOT, started

SEED = os.environ.get("FUZZ_SEED", "1")
SECONDS = os.environ.get("FUZZ_SECONDS")
RUNS = (
    [["--max-time", SECONDS]]
    if SECONDS
    else [
        ["--phases", "examples,coverage,fuzzing", "--max-examples", "3"],
        # Hypothesis ends this phase early when the answers to the same requests differ, as those
        # of a service that keeps rows do; only a time to fill makes it start anew.
        ["--phases", "stateful", "--max-time", "6"],
    ]
)


def test_schemathesis_finds_no_failure(
    empty_url: str,
    backend: str,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    record_property: Callable[[str, object], None],
) -> None:
    with started(DATABASE_URL=empty_url) as url:
        sow(url)
        reports = [schemathesis(url, options, tmp_path, capfd) for options in RUNS]

    cases = sum(each["test_cases"]["generated"] for each in reports)
    excused = sum(each["filtered"] for each in reports)
    record_property(f"Schemathesis on {backend}", f"{cases} cases, {excused} excused by misfits.py")
    assert {
        phase
        for each in reports
        for phase, result in each["phases"].items()
        if result["status"] == "success"
    } == {"examples", "coverage", "fuzzing", "stateful"}
    refusing = [
        operation
        for operation, phases in reports[0]["valid_rates"].items()
        if not any(phase["accepted"] for phase in phases.values())
    ]
    assert refusing == [], "these refused every valid request, so little of them was tested"


def schemathesis(
    url: str, options: list[str], folder: Path, capfd: pytest.CaptureFixture[str]
) -> dict[str, Any]:
    """Run Schemathesis, in *folder*, where it leaves what it likes; return its report."""
    settings = ["--config-file", str(ROOT / "tests/slow/schemathesis.toml"), "--no-color"]
    command = [*settings, "run", f"{url}/openapi.json", "--seed", SEED, *options]
    with capfd.disabled():
        print(f"\nschemathesis {' '.join(command)}", flush=True)  # noqa: T201 — it has the seed
    report = folder / "report.json"
    run = subprocess.run(  # noqa: S603 — the command is made here
        [sys.executable, "-m", "schemathesis.cli", *command, "--report-json-path", report],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    capfd.readouterr()  # the service tells of every request
    if run.returncode:
        pytest.fail(run.stdout, pytrace=False)
    found: dict[str, Any] = json.loads(report.read_text())
    return found


def sow(url: str) -> None:
    """Store a few rows, so that there is something to find from the first request on."""
    with httpx2.Client(base_url=url) as client:
        for name in ("ada", "bob", "cleo"):
            author = {"name": name, "email": f"{name}@example.org"}
            author_id = client.post("/authors", json=author).json()["id"]
            article = {"title": name, "slug": name, "author_id": author_id, "meta": {"a": [1]}}
            article_id = client.post("/articles", json=article).json()["id"]
            comment = {"article_id": article_id, "author_name": name, "body": name}
            assert client.post("/comments", json=comment).status_code == 201
