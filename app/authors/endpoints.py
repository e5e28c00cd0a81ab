"""The endpoints of authors."""

from brickwork import Resource, crud_router

from .models import Author
from .schemas import AuthorCreate, AuthorQuery, AuthorRead, AuthorUpdate


class Authors(Resource[Author]):
    """The people who write articles."""


router = crud_router(
    "/authors",
    Authors,
    read=AuthorRead,
    create=AuthorCreate,
    update=AuthorUpdate,
    query=AuthorQuery,
)
