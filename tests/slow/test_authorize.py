"""*Authorize* in the documentation of the service, in Chromium."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.support.processes import running_service
from tests.support.swagger import try_out
from tests.support.tokens import SECRET, secret_token


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Run the service over a new SQLite file, with users, and return its address."""
    file = tmp_path_factory.mktemp("browser") / "new.db"
    database = f"sqlite+aiosqlite:///{file}"
    with running_service(DATABASE_URL=database, AUTH="jwt", AUTH_SECRET=SECRET) as url:
        yield url


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    page = browser.new_page()
    yield page
    page.close()


def sign_in(page: Page, token: str) -> None:
    page.get_by_role("button", name="Authorize").first.click()
    dialog = page.locator(".modal-ux")
    expect(dialog).to_be_visible()
    if (logout := dialog.get_by_text("Logout")).is_visible():
        logout.click()
    dialog.locator("input").fill(token)
    dialog.get_by_role("button", name="Apply credentials").click()
    dialog.get_by_role("button", name="Close").click()


def test_a_token_of_the_docs_opens_the_operations(page: Page, url: str) -> None:
    page.goto(f"{url}/docs")
    status, problem = try_out(page, "articles_list")
    assert (status, problem["title"]) == ("401", "Authentication required")

    sign_in(page, secret_token(aud=None))
    assert try_out(page, "articles_list") == ("200", [])
    status, created = try_out(page, "articles_create")
    assert (status, created["slug"]) == ("201", "how-a-wall-stands")
    status, problem = try_out(page, "articles_list", deleted="include")
    assert (status, problem["title"]) == ("403", "Not allowed")

    sign_in(page, secret_token(sub="root", roles=["admin"], aud=None))
    assert try_out(page, "articles_list", deleted="include")[0] == "200"
    page.reload()  # the page keeps no token
    assert try_out(page, "articles_list")[0] == "401"


def test_redoc_names_the_token(page: Page, url: str) -> None:
    page.goto(f"{url}/redoc")
    expect(page.get_by_text("Authorizations:").first).to_be_visible()
