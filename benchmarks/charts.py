"""Bars of what contenders do, as SVG: requests a second, operation by operation."""

from collections.abc import Iterator, Sequence
from typing import Final
from xml.sax.saxutils import escape

from benchmarks.cells import Cell
from benchmarks.contenders import CONTENDERS

_OURS: Final = {each.name for each in CONTENDERS if each.is_ours}
_WIDEST: Final = 400
_USUAL: Final = 64


def chart(cells: Sequence[Cell]) -> str:
    """Return a chart with 64 clients where that was asked for, else with the most."""
    rows = [
        row
        for name in dict.fromkeys(each.operation for each in cells)
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
    """Yield a heading and the bars of one operation, the longest of which is as long as any."""
    own = [each for each in cells if each.operation == operation]
    counts = {each.clients for each in own}
    clients = _USUAL if _USUAL in counts else max(counts)
    shown = [each for each in own if each.clients == clients]
    most = max(each.rate for each in shown) or 1
    plural = "client" if clients == 1 else "clients"
    yield f'<text x="10" y="17" font-weight="bold">{escape(operation)}, {clients} {plural}</text>'
    for each in shown:
        yield _bar(each, _WIDEST * each.rate / most)


def _bar(cell: Cell, width: float) -> str:
    colour = "#4a7fb5" if cell.contender in _OURS else "#b0b0b0"
    return (
        f'<text x="250" y="17" text-anchor="end">{escape(cell.contender)}</text>'
        f'<rect x="260" y="5" width="{width:.0f}" height="16" fill="{colour}"/>'
        f'<text x="{265 + width:.0f}" y="17">{cell.rate:.0f}/s</text>'
    )
