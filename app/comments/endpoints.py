"""The endpoints of comments: the smallest possible declaration."""

from app.resource import ProtectedResource
from brickwork import crud_router

from .models import Comment
from .schemas import CommentCreate, CommentQuery, CommentRead, CommentUpdate


class Comments(ProtectedResource[Comment]):
    """The remarks of readers on articles."""


router = crud_router(
    "/comments",
    Comments,
    read=CommentRead,
    create=CommentCreate,
    update=CommentUpdate,
    query=CommentQuery,
)
