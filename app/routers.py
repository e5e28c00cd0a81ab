"""The resources of the service."""

from collections.abc import Sequence
from typing import Final

from fastapi import APIRouter

from .articles.endpoints import router as articles
from .authors.endpoints import router as authors
from .comments.endpoints import router as comments

ROUTERS: Final[Sequence[APIRouter]] = (authors, articles, comments)
