"""Production-ready CRUD endpoints on FastAPI, async SQLAlchemy and Pydantic."""

from brickwork.app import install
from brickwork.audit import Audited, AuditEntry, AuditEntryRead, HistoryQuery, audit_entries
from brickwork.changes import apply_changes, merge_patch
from brickwork.companions import IdempotencyKey, ImportPosition
from brickwork.database import Database, Isolation, Session, get_db
from brickwork.deletion import Shown, SoftDelete, live_reference, live_unique, visible
from brickwork.embedding import Latest, embedding
from brickwork.limits import Limits
from brickwork.links import item_path, link_header
from brickwork.lists import ListQuery, Narrowing, OneOf, Search, SortBy
from brickwork.models import Entity, JSONDocument, Model, Timestamped, UTCDateTime, Versioned
from brickwork.negotiation import preferred_media_type
from brickwork.outbox import (
    Consumer,
    OutboxEvent,
    OutboxPosition,
    Published,
    forget_events,
    read_events,
)
from brickwork.problems import (
    Conflict,
    ContentTooLarge,
    Fault,
    Forbidden,
    HeadersTooLarge,
    IdempotencyKeyReused,
    Internal,
    Invalid,
    InvalidCursor,
    Malformed,
    MethodNotAllowed,
    NotAcceptable,
    NotFound,
    PreconditionFailed,
    PreconditionRequired,
    Problem,
    RefusedByDatabase,
    StillRunning,
    Unavailable,
    UnsupportedMediaType,
    UriTooLong,
)
from brickwork.queries import Page, get_or_404, paginate
from brickwork.references import Scopes
from brickwork.resource import Resource
from brickwork.router import crud_router
from brickwork.routes import Route
from brickwork.schemas import ReadSchema, Schema
from brickwork.sorting import SortKey
from brickwork.texts import code_points

__all__ = [
    "AuditEntry",
    "AuditEntryRead",
    "Audited",
    "Conflict",
    "Consumer",
    "ContentTooLarge",
    "Database",
    "Entity",
    "Fault",
    "Forbidden",
    "HeadersTooLarge",
    "HistoryQuery",
    "IdempotencyKey",
    "IdempotencyKeyReused",
    "ImportPosition",
    "Internal",
    "Invalid",
    "InvalidCursor",
    "Isolation",
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
    "OutboxEvent",
    "OutboxPosition",
    "Page",
    "PreconditionFailed",
    "PreconditionRequired",
    "Problem",
    "Published",
    "ReadSchema",
    "RefusedByDatabase",
    "Resource",
    "Route",
    "Schema",
    "Scopes",
    "Search",
    "Session",
    "Shown",
    "SoftDelete",
    "SortBy",
    "SortKey",
    "StillRunning",
    "Timestamped",
    "UTCDateTime",
    "Unavailable",
    "UnsupportedMediaType",
    "UriTooLong",
    "Versioned",
    "apply_changes",
    "audit_entries",
    "code_points",
    "crud_router",
    "embedding",
    "forget_events",
    "get_db",
    "get_or_404",
    "install",
    "item_path",
    "link_header",
    "live_reference",
    "live_unique",
    "merge_patch",
    "paginate",
    "preferred_media_type",
    "read_events",
    "visible",
]
