"""The endpoints of articles."""

from brickwork import Resource, crud_router

from .models import Article
from .schemas import ArticleCreate, ArticleQuery, ArticleRead, ArticleUpdate


class Articles(Resource[Article]):
    """Drafts and published articles."""


router = crud_router(
    "/articles",
    Articles,
    read=ArticleRead,
    create=ArticleCreate,
    update=ArticleUpdate,
    query=ArticleQuery,
)
