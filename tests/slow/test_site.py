"""The built site of the documentation."""

import re
import subprocess
import sys
from collections.abc import Iterator
from fcntl import LOCK_EX, flock
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import pytest
from playwright.sync_api import Browser, expect
from typing_extensions import override

from tests.support.pages import ROOT

SITE = ROOT / "build" / "docs"


class Links(HTMLParser):
    """The links and the anchors of a page."""

    def __init__(self, page: Path) -> None:
        super().__init__()
        self.targets: list[tuple[str, str]] = []
        self.anchors: set[str] = set()
        self.feed(page.read_text())

    @override
    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name in {"href", "src"} and value:
                self.targets.append((tag, value))
            elif name in {"id", "name"} and value:
                self.anchors.add(value)


@pytest.fixture(scope="module")
def pages(testrun_uid: str) -> dict[Path, Links]:
    """Build the site once for all processes of this test run, and return its pages."""
    built = ROOT / "build" / "site-of-test-run"
    built.parent.mkdir(exist_ok=True)
    with built.open("a+") as file:
        flock(file, LOCK_EX)
        file.seek(0)
        if file.read() != testrun_uid:
            command = ("make", "docs", f"PYTHON={sys.executable}")
            subprocess.run(command, cwd=ROOT, check=True)  # noqa: S603
            file.truncate(0)
            file.write(testrun_uid)
    return {page: Links(page) for page in SITE.rglob("*.html")}


def broken(pages: dict[Path, Links]) -> Iterator[str]:
    for page, links in pages.items():
        for _, link in links.targets:
            if re.match(r"[a-z]+:", link) or page.name == "404.html":
                continue
            path, _, anchor = unquote(link).partition("#")
            target = (page.parent / path).resolve() if path else page
            if not target.exists():
                yield f"{page.relative_to(SITE)}: {link} has no file."
            elif anchor and target in pages and anchor not in pages[target].anchors:
                yield f"{page.relative_to(SITE)}: {link} has no heading."


def test_every_link_has_a_target(pages: dict[Path, Links]) -> None:
    assert len(pages) > 100
    assert [*broken(pages)] == []


def test_nothing_comes_from_another_host(pages: dict[Path, Links]) -> None:
    loaded = {
        link
        for links in pages.values()
        for tag, link in links.targets
        if tag != "a" and re.match(r"([a-z]+:)?//", link)
    }
    assert loaded == set()
    styles = "".join(style.read_text() for style in SITE.rglob("*.css"))
    assert not re.search(r"url\([\"']?(?:https?:)?//", styles)


@pytest.mark.usefixtures("pages")
def test_the_search_works_from_files(browser: Browser) -> None:
    page = browser.new_page()
    requests: list[str] = []
    errors: list[str] = []
    page.on("request", lambda request: requests.append(request.url))
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto((SITE / "index.html").as_uri())
    page.keyboard.press("/")
    page.keyboard.type("pgbouncer pooler")
    found = re.compile(r"/how-to/several-workers\.html\?h=pgbouncer\+pooler")  # all of the text
    first = page.get_by_role("option", selected=True)
    expect(first).to_have_attribute("href", found, timeout=10_000)
    page.keyboard.press("Enter")
    expect(page).to_have_url(found)
    expect(page.locator("h1").first).to_contain_text("pooler")
    assert [url for url in requests if not url.startswith(("file:", "data:", "blob:"))] == []
    assert errors == []
