"""Words in the names of operations."""

import pytest

from brickwork.operations.naming import summary


@pytest.mark.parametrize(
    ("model", "words"),
    [
        ("Category", "a category"),
        ("Author", "an author"),
        ("BlogPost", "a blog post"),
        ("APIKey", "an API key"),
        ("HTTPRequest", "an HTTP request"),
        ("SQLQuery", "an SQL query"),
        ("URL", "a URL"),
        ("PDFPage", "a PDF page"),
        ("User", "a user"),
        ("Unit", "a unit"),
        ("UninvitedGuest", "an uninvited guest"),
        ("Upload", "an upload"),
        ("OneTimeCode", "a one time code"),
        ("Onion", "an onion"),
        ("Hour", "an hour"),
        ("House", "a house"),
        ("Utility", "a utility"),
        ("Order2", "an order2"),
        ("shopping_list", "a shopping list"),
    ],
)
def test_summary_names_the_model_with_an_article(model: str, words: str) -> None:
    assert summary("get", "/rows", type(model, (), {})) == f"Get {words}"


@pytest.mark.parametrize(
    ("prefix", "words"),
    [
        ("/categories", "categories"),
        ("/press/blog-posts", "blog posts"),
        ("/blog_posts", "blog posts"),
        ("/blogPosts", "blog posts"),
        ("", "blog post"),
    ],
)
def test_list_summary_names_the_path(prefix: str, words: str) -> None:
    assert summary("list", prefix, type("BlogPost", (), {})) == f"List {words}"
