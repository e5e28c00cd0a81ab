"""Schemathesis against the running service, from a fixed seed.

`make fuzz SECONDS=600` runs for so many seconds with a random seed, which it prints. `make fuzz
SECONDS=600 SEED=…` repeats a run.
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
from tests.support.processes import ROOT, running_service

pytestmark = pytest.mark.both_paths  # its processes choose

SEED: Final = os.environ.get("FUZZ_SEED", "1")
SECONDS: Final = os.environ.get("FUZZ_SECONDS")
EXAMPLES: Final = ["--phases", "examples"]
RANDOM: Final = (
    [["--phases", "coverage,fuzzing,stateful", "--max-time", SECONDS]]
    if SECONDS
    else [
        ["--phases", "coverage,fuzzing", "--max-examples", "3"],
        # Hypothesis ends this phase early when responses to equal requests differ, as they do in
        # a service with stored rows. Only a time limit makes it start again.
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
    with running_service(DATABASE_URL=empty_url) as url:
        operations = write_openapi(url, tmp_path)
        reports = [schemathesis(url, options, tmp_path, capfd) for options in [EXAMPLES, *RANDOM]]

    cases = sum(report["test_cases"]["generated"] for report in reports)
    excused = sum(report["filtered"] for report in reports)
    record_property(f"Schemathesis on {backend}", f"{cases} cases, {excused} excused by misfits.py")
    assert operations_without_success(reports[0], operations) == []
    # With a time limit, the phases that succeed depend on the machine.
    assert SECONDS or {
        phase
        for report in reports
        for phase, result in report["phases"].items()
        if result["status"] == "success"
    } == {"examples", "coverage", "fuzzing", "stateful"}


def write_openapi(url: str, folder: Path) -> list[str]:
    """Write openapi.json of the service at *url* to *folder*, with an example of each operation.

    Return the operations, such as `GET /articles`.
    """
    with httpx2.Client(base_url=url) as client:
        document = client.get("/openapi.json").json()
        add_examples(document, client)
    (folder / "openapi.json").write_text(json.dumps(document))
    return [
        f"{method.upper()} {path}" for path, item in document["paths"].items() for method in item
    ]


def operations_without_success(report: dict[str, Any], operations: list[str]) -> list[str]:
    """Return the *operations* that accepted no example, although each has a valid one.

    Random values prove nothing here: the service may reject all of them.
    """
    rates = report["valid_rates"]
    return [operation for operation in operations if not rates[operation]["examples"]["accepted"]]


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
    capfd.readouterr()  # discard the access log of the service
    if run.returncode:
        pytest.fail(run.stdout, pytrace=False)
    found: dict[str, Any] = json.loads(report.read_text())
    return found
