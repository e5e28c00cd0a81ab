"""The import of values of each column type."""

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest

from brickwork.cli.files import open_row_file
from brickwork.cli.importing import import_rows
from brickwork.cli.loading import job_runner
from tests.contract.test_roundtrip import THING, VALUES, exact
from tests.support.bodies import get_json
from tests.support.calls import calling
from tests.support.things import Store, create_app

pytestmark = [pytest.mark.anyio, pytest.mark.both_paths]

IMPORTED = [value for value in VALUES if value[1] != ""]
"""The values that a cell can hold: an empty cell is null."""


def cell(value: object) -> str:
    """Return the text of *value* in a CSV file."""
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value)


def as_csv(rows: list[dict[str, Any]]) -> bytes:
    file = io.StringIO(newline="")
    writer = csv.DictWriter(file, [*rows[0]])
    writer.writeheader()
    writer.writerows({name: cell(value) for name, value in row.items()} for row in rows)
    return file.getvalue().encode()


def as_lines(rows: list[dict[str, Any]]) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


@pytest.mark.parametrize(("kind", "form"), [("csv", as_csv), ("ndjson", as_lines)])
async def test_an_imported_value_is_returned_as_accepted(
    empty_url: str, tmp_path: Path, kind: str, form: Any
) -> None:
    app, file = create_app(empty_url), tmp_path / f"things.{kind}"
    file.write_bytes(form([{**THING, "string": "x", field: sent} for field, sent, _ in IMPORTED]))
    async with calling(app) as client:
        target = job_runner(app, Store(empty_url), "things")
        steps = [step async for step in import_rows(target, open_row_file(file))]
        await target.database.dispose()
        assert (steps[-1].accepted, steps[-1].rejected) == (len(IMPORTED), 0)
        found: list[dict[str, Any]] = []
        while len(found) < len(IMPORTED):
            found += await get_json(client, f"/things?limit=100&offset={len(found)}")
    for row, (field, _, expected) in zip(found, IMPORTED, strict=True):
        assert exact(row[field]) == exact(expected), field
