"""Bar charts of requests a second, as SVG."""

from collections.abc import Iterator, Sequence
from typing import Final
from xml.sax.saxutils import escape

from benchmarks.cells import Cell
from benchmarks.contenders import CONTENDERS

_OURS: Final = {contender.name for contender in CONTENDERS if contender.is_ours}
_WIDEST: Final = 400
_USUAL: Final = 64


def chart(cells: Sequence[Cell]) -> str:
    """Return a chart for 64 clients if they were measured, else for the largest number."""
    rows = [
        row
        for name in dict.fromkeys(cell.operation for cell in cells)
        for row in _rows(cells, name)
    ]
    drawn = "".join(
        f'<g transform="translate(0 {20 * at})">{row}</g>' for at, row in enumerate(rows)
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="760" height="{20 * len(rows) + 10}" '
        f'font-family="sans-serif" font-size="12">{drawn}</svg>\n'
    )


def _rows(cells: Sequence[Cell], operation: str) -> Iterator[str]:
    """Yield a heading and the bars of one operation; its longest bar has the full width."""
    own = [cell for cell in cells if cell.operation == operation]
    counts = {cell.clients for cell in own}
    clients = _USUAL if _USUAL in counts else max(counts)
    shown = [cell for cell in own if cell.clients == clients]
    most = max(cell.rate for cell in shown) or 1
    plural = "client" if clients == 1 else "clients"
    yield f'<text x="10" y="17" font-weight="bold">{escape(operation)}, {clients} {plural}</text>'
    for cell in shown:
        yield _bar(cell, _WIDEST * cell.rate / most)


def _bar(cell: Cell, width: float) -> str:
    colour = "#4a7fb5" if cell.contender in _OURS else "#b0b0b0"
    return (
        f'<text x="250" y="17" text-anchor="end">{escape(cell.contender)}</text>'
        f'<rect x="260" y="5" width="{width:.0f}" height="16" fill="{colour}"/>'
        f'<text x="{265 + width:.0f}" y="17">{cell.rate:.0f}/s</text>'
    )
