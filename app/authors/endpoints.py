"""The endpoints of authors."""

from app.resource import ProtectedResource
from brickwork import crud_router

from .models import Author
from .schemas import AuthorCreate, AuthorQuery, AuthorRead, AuthorUpdate


class Authors(ProtectedResource[Author]):
    """The people who write articles."""


router = crud_router(
    "/authors",
    Authors,
    read=AuthorRead,
    create=AuthorCreate,
    update=AuthorUpdate,
    query=AuthorQuery,
)
