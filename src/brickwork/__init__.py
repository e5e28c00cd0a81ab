"""Production-ready CRUD endpoints on FastAPI, async SQLAlchemy and Pydantic."""

from brickwork.app import install
from brickwork.database.database import Database, Isolation, Session, get_db
from brickwork.database.text import code_points
from brickwork.http.links import item_path, link_header
from brickwork.http.negotiation import preferred_media_type
from brickwork.http.routing import Route
from brickwork.limits import Limits
from brickwork.models.companions import IdempotencyKey, ImportPosition
from brickwork.models.model import Entity, JSONDocument, Model, Timestamped, UTCDateTime, Versioned
from brickwork.models.soft_delete import Shown, SoftDelete, live_reference, live_unique, visible
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
from brickwork.query.embedding import Latest, embedding
from brickwork.query.list_query import ListQuery, Narrowing, OneOf, Search, SortBy
from brickwork.query.lookup import Page, get_or_404, paginate
from brickwork.query.ordering import SortKey
from brickwork.resource.changes import apply_changes, merge_patch
from brickwork.resource.references import Scopes
from brickwork.resource.resource import Resource
from brickwork.router import crud_router
from brickwork.schemas.schema import ReadSchema, Schema
from brickwork.tracking.audit import (
    Audited,
    AuditEntry,
    AuditEntryRead,
    HistoryQuery,
    audit_entries,
)
from brickwork.tracking.outbox import (
    Consumer,
    OutboxEvent,
    OutboxPosition,
    Published,
    forget_events,
    read_events,
)

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
