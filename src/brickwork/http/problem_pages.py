"""Pages that the `type` of a problem links to."""

from html import escape
from inspect import cleandoc
from typing import Final

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from brickwork.http.paths import root_path
from brickwork.http.routing import StrictRoute
from brickwork.problems import NotFound, Problem, problem_for_status, problem_types

router: Final = APIRouter(
    prefix="/problems",
    tags=["problems"],  # custom functions for operation ids expect a tag
    include_in_schema=False,
    route_class=StrictRoute,
)

_PAGE: Final = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<link rel="icon" href="data:,">
<style>
body {{ font: 1.1rem/1.6 system-ui; max-width: 42rem; margin: 3rem auto; padding: 0 1rem }}
code {{ font-size: .95em }} dt {{ font-weight: 600; margin-top: 1rem }} dd {{ margin: 0 }}
</style>
</head>
<body>
<h1>{title}</h1>
{content}
</body>
</html>
"""


@router.get("")
async def list_problems(request: Request) -> HTMLResponse:
    """List all problems."""
    path = _pages_path(request)
    rows = [
        f'<li><a href="{path}/{problem.code}">{escape(problem.title)}</a> ({problem.status:d})</li>'
        for problem in sorted(problem_types(), key=lambda problem: (problem.status, problem.code))
    ]
    return _render_page("Problems", f"<ul>{''.join(rows)}</ul>")


@router.get("/{code}")
async def show_problem(request: Request, code: str) -> HTMLResponse:
    """Show one problem: its meaning and its remedy."""
    problems = (*problem_types(), *(problem_for_status(status) for status in range(400, 600)))
    for problem in problems:
        if problem.code == code:
            return _render_page(problem.title, _render_problem(problem, _pages_path(request)))
    raise NotFound("There is no such problem.")


def _render_problem(problem: type[Problem], path: str) -> str:
    retry = "Yes, later." if problem.retry else "No. The response would be the same."
    rows = {
        "Status": f"{problem.status:d}",
        "Type": f"{path}/{problem.code}",
        "What it means": cleandoc(problem.__doc__ or problem.title),
        "What to do": problem.remedy,
        "Can the same request be repeated?": retry,
    }
    terms = (f"<dt>{escape(name)}</dt><dd>{escape(text)}</dd>" for name, text in rows.items())
    return f'<dl>{"".join(terms)}</dl><p><a href="{path}">All problems</a></p>'


def _pages_path(request: Request) -> str:
    """Return the path of the list of problems, with the prefix of a proxy or a mount."""
    return root_path(request.scope) + router.prefix


def _render_page(title: str, content: str) -> HTMLResponse:
    return HTMLResponse(_PAGE.format(title=escape(title), content=content))
