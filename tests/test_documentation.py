"""The pages of the site."""

from pathlib import Path, PurePosixPath

import pytest

from documentation.pages import ROOT, navigation, settings, site_pages
from tests.support.pages import links


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """Return a small repository with documentation."""
    write(tmp_path / "docs/index.md", "# Home\n\n## Guides\n\n**Files**\n\n- [Up](how-to/up.md)\n")
    return tmp_path


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def site(root: Path) -> dict[str, str]:
    return {str(path): text for path, text in site_pages(root).items()}


def test_a_linked_source_is_a_page(repository: Path) -> None:
    write(repository / "docs/how-to/up.md", "# Up\n\n[shop](../../examples/shop.py#top)\n")
    write(repository / "examples/shop.py", "price = 1\n")
    pages = site(repository)
    assert pages.keys() == {"index.md", "how-to/up.md", "source/examples/shop.py.md"}
    assert pages["how-to/up.md"] == "# Up\n\n[shop](../source/examples/shop.py.md#top)\n"
    assert "````py\nprice = 1\n````" in pages["source/examples/shop.py.md"]


def test_a_linked_folder_is_a_list(repository: Path) -> None:
    write(repository / "docs/how-to/up.md", "# Up\n\n[shop](../../shop)\n")
    write(repository / "shop/main.py", "")
    write(repository / "shop/plain/why.md", "# Why\n")
    write(repository / "shop/.hidden/x.py", "")
    pages = site(repository)
    assert pages["source/shop/index.md"] == (
        "# shop\n\n- [main.py](main.py.md)\n- [plain/](plain/index.md)\n"
    )
    assert pages["source/shop/plain/index.md"] == "# shop/plain\n\n- [Why](why.md)\n"


def test_the_readme_of_a_folder_is_its_page(repository: Path) -> None:
    write(
        repository / "docs/how-to/up.md", "# Up\n\n[shop](../../shop) [it](../../shop/README.md)\n"
    )
    write(repository / "shop/README.md", "# A shop\n\n[hidden](../.settings)\n")
    write(repository / ".settings", "a = 1\n")
    pages = site(repository)
    assert pages["how-to/up.md"].count("(../source/shop/index.md)") == 2
    assert pages["source/shop/index.md"] == "# A shop\n\n[hidden](../settings.md)\n"


def test_links_in_code_stay(repository: Path) -> None:
    text = "# Up\n\n```python\nnames[0](../x)\n```\n\n[out](https://example.org) [here](#up)\n"
    write(repository / "docs/how-to/up.md", text)
    assert site(repository)["how-to/up.md"] == text


def test_comments_are_hidden_and_names_have_directives(repository: Path) -> None:
    text = "# Up\n\n<!-- not run: a part -->\n```python\n1\n```\n\n<!-- api: install -->\n"
    write(repository / "docs/how-to/up.md", text)
    assert site(repository)["how-to/up.md"] == (
        "# Up\n\n```python\n1\n```\n\n::: brickwork.install\n"
    )


def test_a_link_without_target_is_an_error(repository: Path) -> None:
    write(repository / "docs/how-to/up.md", "[no](nothing.md)")
    with pytest.raises(FileNotFoundError, match=r"docs/how-to/nothing\.md: a page links to it"):
        site_pages(repository)


def test_the_navigation_is_that_of_the_start_page(repository: Path) -> None:
    write(repository / "docs/how-to/up.md", "# Upload\n")
    guides = [{"Files": [{"Upload": "how-to/up.md"}]}]
    assert navigation(repository) == [{"Home": "index.md"}, {"Guides": guides}]
    assert '{ "Guides" = [{ "Files" = [{ "Upload" = "how-to/up.md" }] }] }' in settings(repository)


def test_the_start_page_lists_every_page() -> None:
    index = ROOT / "docs/index.md"
    listed = {
        (index.parent / link.partition("#")[0]).resolve() for link in links(index.read_text())
    }
    pages = set((ROOT / "docs").rglob("*.md")) - {index} - {*(ROOT / "docs/decisions").iterdir()}
    assert pages <= listed


def test_every_page_of_the_docs_is_on_the_site() -> None:
    pages = site_pages()
    for page in (ROOT / "docs").rglob("*.md"):
        assert PurePosixPath(page.relative_to(ROOT / "docs").as_posix()) in pages


def test_the_search_leaves_decisions_out(repository: Path) -> None:
    write(repository / "docs/how-to/up.md", "# Up\n")
    write(repository / "docs/decisions/0001-go-up.md", "# 1. Go up\n")
    pages = site(repository)
    assert pages["decisions/0001-go-up.md"].startswith("---\nsearch:\n  exclude: true\n---\n")
    assert "search" not in pages["how-to/up.md"]
