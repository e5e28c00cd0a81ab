"""Production-ready CRUD endpoints on FastAPI, async SQLAlchemy and Pydantic."""

from brickwork.app import install
from brickwork.changes import apply_changes, merge_patch
from brickwork.database import Database, Session, get_db
from brickwork.embedding import Latest, embedding
from brickwork.limits import Limits
from brickwork.links import item_path, link_header
from brickwork.lists import ListQuery, Narrowing, OneOf, Search, SortBy
from brickwork.models import Entity, JSONDocument, Model, Timestamped, UTCDateTime
from brickwork.problems import (
    Conflict,
    ContentTooLarge,
    Fault,
    HeadersTooLarge,
    Internal,
    Invalid,
    InvalidCursor,
    Malformed,
    MethodNotAllowed,
    NotAcceptable,
    NotFound,
    Problem,
    Unavailable,
    UnsupportedMediaType,
    UriTooLong,
)
from brickwork.queries import Page, get_or_404, paginate
from brickwork.resource import Resource
from brickwork.router import crud_router
from brickwork.routes import Route
from brickwork.schemas import ReadSchema, Schema
from brickwork.sorting import SortKey
from brickwork.texts import code_points

__all__ = [
    "Conflict",
    "ContentTooLarge",
    "Database",
    "Entity",
    "Fault",
    "HeadersTooLarge",
    "Internal",
    "Invalid",
    "InvalidCursor",
    "JSONDocument",
    "Latest",
    "Limits",
    "ListQuery",
    "Malformed",
    "MethodNotAllowed",
    "Model",
    "Narrowing",
    "NotAcceptable",
    "NotFound",
    "OneOf",
    "Page",
    "Problem",
    "ReadSchema",
    "Resource",
    "Route",
    "Schema",
    "Search",
    "Session",
    "SortBy",
    "SortKey",
    "Timestamped",
    "UTCDateTime",
    "Unavailable",
    "UnsupportedMediaType",
    "UriTooLong",
    "apply_changes",
    "code_points",
    "crud_router",
    "embedding",
    "get_db",
    "get_or_404",
    "install",
    "item_path",
    "link_header",
    "merge_patch",
    "paginate",
]
