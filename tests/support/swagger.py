"""The forms of Swagger UI in a browser."""

import json
from typing import Any

from playwright.sync_api import Page


def try_out(page: Page, operation: str, **parameters: str) -> tuple[str, Any]:
    """Execute *operation* with "Try it out", and return the displayed status and body."""
    block = page.locator(f"#operations-articles-{operation}")
    control = block.locator(".opblock-summary-control")
    if control.get_attribute("aria-expanded") == "false":
        control.click()
        block.get_by_role("button", name="Try it out").click()
    for name, value in parameters.items():
        field = block.locator(f'tr[data-param-name="{name}"]').locator("input, select")
        (field.select_option if _is_choice(field) else field.fill)(value)
    with page.expect_response(lambda response: "/articles" in response.url):
        block.get_by_role("button", name="Execute").click()
    answer = block.locator(".live-responses-table .response")
    body = answer.locator(".highlight-code pre").first.inner_text()
    return answer.locator(".response-col_status").inner_text().split()[0], json.loads(body)


def _is_choice(field: Any) -> bool:
    return bool(field.evaluate("element => element.tagName") == "SELECT")
