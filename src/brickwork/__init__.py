"""Production-ready CRUD endpoints on FastAPI, async SQLAlchemy and Pydantic."""

from brickwork import hooks as hooks  # its import registers the hooks
from brickwork.app import install
from brickwork.database.database import Database, SessionDep, get_db
from brickwork.database.isolation import IsolationLevel
from brickwork.database.text import c_collation
from brickwork.http.access_log import AccessLog
from brickwork.http.links import item_path, link_header
from brickwork.http.negotiation import preferred_media_type
from brickwork.http.routing import StrictRoute
from brickwork.limits import Limits
from brickwork.models.companions import IdempotencyKey, ImportPosition
from brickwork.models.model import Entity, JSONDocument, Model, Timestamped, UTCDateTime, Versioned
from brickwork.models.numeric import ExactNumeric
from brickwork.models.soft_delete import (
    DeletedFilter,
    SoftDelete,
    soft_delete_conditions,
    soft_delete_foreign_key,
    unique_unless_deleted,
)
from brickwork.problems import (
    BadRequest,
    Conflict,
    ContentTooLarge,
    ErrorDetail,
    Forbidden,
    HeadersTooLarge,
    IdempotencyKeyReused,
    InternalServerError,
    InvalidCursor,
    MethodNotAllowed,
    NotAcceptable,
    NotFound,
    PreconditionFailed,
    PreconditionRequired,
    Problem,
    RefusedByDatabase,
    RequestInProgress,
    ServiceUnavailable,
    TooManyRequests,
    Unauthorized,
    UnprocessableContent,
    UnsupportedMediaType,
    URITooLong,
)
from brickwork.query.embedding import Limit, embedding
from brickwork.query.list_query import ListQuery
from brickwork.query.lookup import get_or_404
from brickwork.query.ordering import SortKey
from brickwork.query.pagination import Page, paginate
from brickwork.query.parameters import (
    CustomFilter,
    Fields,
    Filter,
    OneOf,
    Operators,
    Search,
    SortBy,
)
from brickwork.resource.changes import apply_changes, merge_patch
from brickwork.resource.references import ReferenceScopes
from brickwork.resource.resource import Resource
from brickwork.router import crud_router
from brickwork.schemas.related import KeysOf, NotStored
from brickwork.schemas.schema import ReadSchema, Schema
from brickwork.schemas.types import NaiveUTC
from brickwork.tracking.audit import (
    Audited,
    AuditEntry,
    AuditEntryRead,
    HistoryQuery,
    audit_entries,
)
from brickwork.tracking.outbox import (
    Consumer,
    ConsumerOffset,
    OutboxEvent,
    PublishesEvents,
    delete_events,
    read_events,
)

__all__ = [
    "AccessLog",
    "AuditEntry",
    "AuditEntryRead",
    "Audited",
    "BadRequest",
    "Conflict",
    "Consumer",
    "ConsumerOffset",
    "ContentTooLarge",
    "CustomFilter",
    "Database",
    "DeletedFilter",
    "Entity",
    "ErrorDetail",
    "ExactNumeric",
    "Fields",
    "Filter",
    "Forbidden",
    "HeadersTooLarge",
    "HistoryQuery",
    "IdempotencyKey",
    "IdempotencyKeyReused",
    "ImportPosition",
    "InternalServerError",
    "InvalidCursor",
    "IsolationLevel",
    "JSONDocument",
    "KeysOf",
    "Limit",
    "Limits",
    "ListQuery",
    "MethodNotAllowed",
    "Model",
    "NaiveUTC",
    "NotAcceptable",
    "NotFound",
    "NotStored",
    "OneOf",
    "Operators",
    "OutboxEvent",
    "Page",
    "PreconditionFailed",
    "PreconditionRequired",
    "Problem",
    "PublishesEvents",
    "ReadSchema",
    "ReferenceScopes",
    "RefusedByDatabase",
    "RequestInProgress",
    "Resource",
    "Schema",
    "Search",
    "ServiceUnavailable",
    "SessionDep",
    "SoftDelete",
    "SortBy",
    "SortKey",
    "StrictRoute",
    "Timestamped",
    "TooManyRequests",
    "URITooLong",
    "UTCDateTime",
    "Unauthorized",
    "UnprocessableContent",
    "UnsupportedMediaType",
    "Versioned",
    "apply_changes",
    "audit_entries",
    "c_collation",
    "crud_router",
    "delete_events",
    "embedding",
    "get_db",
    "get_or_404",
    "install",
    "item_path",
    "link_header",
    "merge_patch",
    "paginate",
    "preferred_media_type",
    "read_events",
    "soft_delete_conditions",
    "soft_delete_foreign_key",
    "unique_unless_deleted",
]
