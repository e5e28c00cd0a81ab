"""All mapped classes of the service."""

from brickwork import Model

from .articles.models import Article
from .authors.models import Author
from .comments.models import Comment

__all__ = ["Article", "Author", "Comment", "Model"]
