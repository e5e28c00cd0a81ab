"""The endpoints of articles."""

from app.resource import ProtectedResource
from brickwork import crud_router

from .models import Article
from .schemas import ArticleCreate, ArticleQuery, ArticleRead, ArticleUpdate


class Articles(ProtectedResource[Article]):
    """Drafts and published articles."""


router = crud_router(
    "/articles",
    Articles,
    read=ArticleRead,
    create=ArticleCreate,
    update=ArticleUpdate,
    query=ArticleQuery,
)
