"""The pages for people: `/`, `/docs` and `/redoc`."""

from collections.abc import Mapping
from html import escape
from importlib.metadata import version
from typing import Final
from urllib.parse import quote

from fastapi import APIRouter, Request, Response
from fastapi.openapi.docs import get_redoc_html, get_swagger_ui_html
from fastapi.responses import HTMLResponse, JSONResponse
from fastapi.staticfiles import StaticFiles

from brickwork import NotAcceptable, StrictRoute, preferred_media_type

router: Final = APIRouter(include_in_schema=False, route_class=StrictRoute)

ASSETS: Final = f"/assets/{version('fastapi-offline')}"
"""The path of scripts and styles. Each release has its own, so browsers may cache them."""

router.mount(ASSETS, StaticFiles(packages=[("fastapi_offline", "static")]))

_SAME_ORIGIN: Final = {
    # Redoc would load a logo from its vendor.
    "Content-Security-Policy": "default-src 'self' 'unsafe-inline' data: blob:"
}
_VARY: Final = {"Vary": "Accept"}

_DOCUMENTATION: Final = {
    "/docs": "Try each operation in the browser.",
    "/redoc": "Read about all operations on one page.",
    "/openapi.json": "Generate a client.",
    "/problems": "Look up an error and its remedy.",
}
_PAGE: Final = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<link rel="icon" href="data:,">
<style>
body {{ font: 1.1rem/1.6 system-ui; max-width: 42rem; margin: 3rem auto; padding: 0 1rem }}
h2 {{ font-size: 1.2rem; margin: 2rem 0 0 }} dt {{ margin-top: 1rem }} dd {{ margin: 0 }}
</style>
</head>
<body>
<h1>{title}</h1>
<p>{description}</p>
<h2>Documentation</h2>
{documentation}
<h2>Resources</h2>
{resources}
</body>
</html>
"""


@router.get("/")
async def show_home(request: Request) -> Response:
    """Show links to the documentation and the resources, as HTML or JSON."""
    root = _root(request)
    documentation = {root + path: text for path, text in _DOCUMENTATION.items()}
    resources = {
        f"{root}/{tag['name']}": tag["description"] for tag in request.app.openapi().get("tags", ())
    }
    accept = request.headers.getlist("accept")
    match preferred_media_type(accept, ["application/json", "text/html"]):
        case "application/json":
            paths = {**documentation, **resources}
            links = {path.rpartition("/")[2].removesuffix(".json"): path for path in paths}
            return JSONResponse(links, headers=_VARY)
        case "text/html":
            page = _PAGE.format(
                title=escape(request.app.title),
                description=escape(request.app.description),
                documentation=_linked(documentation),
                resources=_linked(resources),
            )
            return HTMLResponse(page, headers=_VARY)
        case _:
            detail = "The response is JSON or HTML, but the Accept header admits neither."
            raise NotAcceptable(detail, headers=_VARY)


def _linked(descriptions: Mapping[str, str]) -> str:
    """Return a list of links, each path with its description."""
    entries = (
        f'<dt><a href="{path}">{path}</a></dt><dd>{escape(text)}</dd>'
        for path, text in descriptions.items()
    )
    return f"<dl>{''.join(entries)}</dl>" if descriptions else "<p>There are none yet.</p>"


@router.get("/docs")
async def show_swagger_ui(request: Request) -> Response:
    """Show the operations with forms to try them (Swagger UI)."""
    root = _root(request)
    page = get_swagger_ui_html(
        title=f"{request.app.title} - Swagger UI",
        openapi_url=f"{root}/openapi.json",
        swagger_js_url=f"{root}{ASSETS}/swagger-ui-bundle.js",
        swagger_css_url=f"{root}{ASSETS}/swagger-ui.css",
        swagger_favicon_url=f"{root}{ASSETS}/favicon.png",
    )
    page.headers.update(_SAME_ORIGIN)
    return page


@router.get("/redoc")
async def show_redoc(request: Request) -> Response:
    """Show all operations on one page (Redoc)."""
    root = _root(request)
    page = get_redoc_html(
        title=f"{request.app.title} - Redoc",
        openapi_url=f"{root}/openapi.json",
        redoc_js_url=f"{root}{ASSETS}/redoc.standalone.js",
        redoc_favicon_url=f"{root}{ASSETS}/favicon.png",
        with_google_fonts=False,
    )
    page.headers.update(_SAME_ORIGIN)
    return page


def _root(request: Request) -> str:
    """Return the path prefix of a proxy or a mount."""
    return quote(request.scope.get("root_path", "").rstrip("/"))
