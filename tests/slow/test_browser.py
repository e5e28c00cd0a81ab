"""The pages of the reference service in Chromium."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import (
    Browser,
    ConsoleMessage,
    Page,
    Request,
    expect,
)

from tests.support.processes import running_service
from tests.support.swagger import try_out


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Run the service over a new SQLite file, and return its address."""
    file = tmp_path_factory.mktemp("browser") / "new.db"
    with running_service(DATABASE_URL=f"sqlite+aiosqlite:///{file}") as url:
        yield url


@pytest.fixture
def page(browser: Browser, url: str) -> Iterator[Page]:
    """Open a page that must load from the service alone, without errors on the console."""
    page = browser.new_page()
    requests: list[Request] = []
    errors: list[str] = []

    def record(request: Request) -> None:
        requests.append(request)

    def record_error(message: ConsoleMessage) -> None:
        if message.type == "error":
            errors.append(message.text)

    page.on("request", record)
    page.on("console", record_error)
    yield page
    # The policy of the page keeps the browser from loading Redoc's logo from its vendor.
    sent = [request for request in requests if request.failure != "csp"]
    assert [
        request.url for request in sent if not request.url.removeprefix("blob:").startswith(url)
    ] == []
    assert [
        request.url for request in sent if not (answer := request.response()) or not answer.ok
    ] == []
    assert [error for error in errors if "Content Security Policy" not in error] == []
    page.close()


def test_the_docs_create_and_read_an_article(page: Page, url: str) -> None:
    page.goto(url)
    page.get_by_role("link", name="/docs").click()

    status, created = try_out(page, "articles_create")
    assert (status, created["slug"]) == ("201", "how-a-wall-stands")
    assert try_out(page, "articles_get", id=created["id"]) == ("200", created)


def test_redoc_shows_each_operation(page: Page, url: str) -> None:
    page.goto(f"{url}/redoc")
    for operation in (
        "List authors",
        "Create an article",
        "Restore an article",
        "Delete a comment",
    ):
        expect(page.get_by_role("heading", name=operation)).to_be_visible()


def test_a_problem_is_explained(page: Page, url: str) -> None:
    page.goto(url)
    page.get_by_role("link", name="/problems").click()
    page.get_by_role("link", name="Precondition failed").click()
    expect(page.get_by_role("heading", name="Precondition failed")).to_be_visible()
