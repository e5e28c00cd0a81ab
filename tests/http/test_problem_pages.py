"""Pages of problem types."""

import re
from html import unescape

import pytest
from fastapi import FastAPI

from brickwork import InternalServerError, NotFound, ServiceUnavailable, install
from brickwork.problems import Problem, problem_types
from tests.support.bodies import summary
from tests.support.calls import calling

pytestmark = pytest.mark.anyio

app = FastAPI()
install(app)


async def page_text(path: str) -> str:
    async with calling(app) as client:
        response = await client.get(path)
    assert response.status_code == 200
    assert response.headers["content-type"] == "text/html; charset=utf-8"
    return unescape(response.text)


async def test_list_links_to_every_problem() -> None:
    links = re.findall(r'<a href="([^"]+)">([^<]+)</a> \((\d+)\)', await page_text("/problems"))
    assert {(path, title, int(status)) for path, title, status in links} >= {
        (f"/problems/{problem.code}", problem.title, int(problem.status))
        for problem in problem_types()
        if problem.__module__ == "brickwork.problems"
    }
    assert [status for *_, status in links] == sorted(status for *_, status in links)


@pytest.mark.parametrize("problem", [NotFound, InternalServerError, ServiceUnavailable])
async def test_page_explains_a_problem_and_its_remedy(problem: type[Problem]) -> None:
    text = await page_text(f"/problems/{problem.code}")
    assert f"<title>{problem.title}</title>" in text
    assert str(problem.__doc__) in text
    assert problem.remedy in text
    assert str(int(problem.status)) in text
    assert ("Yes, later." in text) is problem.retry


async def test_page_escapes_html() -> None:
    class Scripted(Problem):
        """Less < more & "quoted"."""

        status = 409
        code = "scripted"
        title = "<script>"
        remedy = "</dl>"

    async with calling(app) as client:
        html = (await client.get("/problems/scripted")).text
    assert "<script>" not in html
    assert html.count("</dl>") == 1
    assert str(Scripted.__doc__) in unescape(html)


async def test_page_of_an_unknown_problem_is_not_found() -> None:
    async with calling(app) as client:
        assert summary(await client.get("/problems/nothing")) == "404"


def test_pages_are_not_in_openapi() -> None:
    assert app.openapi()["paths"] == {}
