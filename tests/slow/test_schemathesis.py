"""Schemathesis against the running service, from a fixed seed.

`make fuzz SECONDS=600` takes its time and a seed that it prints, and `make fuzz SECONDS=600
SEED=…` starts from that seed again.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import httpx2
import pytest

from tests.support.examples import add_examples
from tests.support.processes import ROOT, started

SEED: Final = os.environ.get("FUZZ_SEED", "1")
SECONDS: Final = os.environ.get("FUZZ_SECONDS")
EXAMPLES: Final = ["--phases", "examples"]
RANDOM: Final = (
    [["--phases", "coverage,fuzzing,stateful", "--max-time", SECONDS]]
    if SECONDS
    else [
        ["--phases", "coverage,fuzzing", "--max-examples", "3"],
        # Hypothesis ends this phase early when the answers to the same requests differ, as those
        # of a service that keeps rows do; only a time to fill makes it start again.
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
        operations = write_openapi(url, tmp_path)
        reports = [schemathesis(url, each, tmp_path, capfd) for each in [EXAMPLES, *RANDOM]]

    cases = sum(each["test_cases"]["generated"] for each in reports)
    excused = sum(each["filtered"] for each in reports)
    record_property(f"Schemathesis on {backend}", f"{cases} cases, {excused} excused by misfits.py")
    assert operations_without_success(reports[0], operations) == []
    # How far it comes in a given time depends on the machine.
    assert SECONDS or {
        phase
        for each in reports
        for phase, result in each["phases"].items()
        if result["status"] == "success"
    } == {"examples", "coverage", "fuzzing", "stateful"}


def write_openapi(url: str, folder: Path) -> list[str]:
    """Write openapi.json of the service at *url* into *folder*, with an example of each operation.

    Return the operations: `GET /articles`.
    """
    with httpx2.Client(base_url=url) as client:
        document = client.get("/openapi.json").json()
        add_examples(document, client)
    (folder / "openapi.json").write_text(json.dumps(document))
    return [
        f"{method.upper()} {path}" for path, item in document["paths"].items() for method in item
    ]


def operations_without_success(report: dict[str, Any], operations: list[str]) -> list[str]:
    """Return the *operations* that accepted no example, though one of each is certain to succeed.

    Random values say nothing of this: the service may well refuse each of them.
    """
    rates = report["valid_rates"]
    return [each for each in operations if not rates[each]["examples"]["accepted"]]


def schemathesis(
    url: str, options: list[str], folder: Path, capfd: pytest.CaptureFixture[str]
) -> dict[str, Any]:
    """Run Schemathesis on openapi.json in *folder*, and return its report."""
    settings = ["--config-file", str(ROOT / "tests/slow/schemathesis.toml"), "--no-color"]
    command = [*settings, "run", "openapi.json", "--url", url, "--seed", SEED, *options]
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
