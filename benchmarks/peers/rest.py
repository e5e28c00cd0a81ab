"""Articles as a view set of Django REST Framework."""

import os
from typing import Any, ClassVar
from uuid import uuid4

import django
from django.conf import settings
from django.utils.timezone import now

from brickwork import Database

_url = Database(os.environ["DATABASE_URL"]).url
_DATABASES: dict[str, dict[str, Any]] = {
    "sqlite": {"ENGINE": "django.db.backends.sqlite3", "NAME": _url.database},
    "postgresql": {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": _url.database,
        "USER": _url.username,
        "PASSWORD": _url.password,
        "HOST": _url.host,
        "PORT": _url.port,
        "OPTIONS": {"pool": {"min_size": 10, "max_size": 10}},
    },
}
settings.configure(
    ALLOWED_HOSTS=["*"],
    DATABASES={"default": _DATABASES[_url.get_backend_name()]},
    INSTALLED_APPS=["rest_framework"],
    LOGGING_CONFIG=None,
    REST_FRAMEWORK={
        "DEFAULT_AUTHENTICATION_CLASSES": [],
        "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
        "UNAUTHENTICATED_USER": None,
    },
    ROOT_URLCONF=__name__,
    TIME_ZONE="UTC",
    USE_TZ=True,
)
django.setup()

from django.core.asgi import get_asgi_application  # noqa: E402 — Django has to be set up before
from django.core.validators import MinLengthValidator  # noqa: E402 — as above
from django.db import models  # noqa: E402 — as above
from rest_framework import pagination, routers, serializers, viewsets  # noqa: E402 — as above


class Article(models.Model):
    """An article, in the table of the service."""

    id = models.UUIDField(primary_key=True, default=uuid4, editable=False)
    title = models.CharField(max_length=200, validators=[MinLengthValidator(1)])
    slug = models.CharField(max_length=100, validators=[MinLengthValidator(1)])
    body = models.TextField(blank=True, default="")
    status = models.CharField(max_length=9, default="draft")
    views = models.PositiveBigIntegerField(default=0)
    rating = models.FloatField(null=True, default=None)
    published_at = models.DateTimeField(null=True, default=None)
    meta = models.JSONField(null=True, default=None)
    author_id = models.UUIDField(null=True, default=None)
    created_at = models.DateTimeField(default=now, editable=False)
    updated_at = models.DateTimeField(auto_now=True)
    version = models.IntegerField(default=1, editable=False)

    class Meta:
        """The table of the model."""

        app_label = "articles"
        db_table = "articles"
        managed = False

    def __str__(self) -> str:
        """Return the title."""
        return str(self.title)


class ArticleSerializer(serializers.ModelSerializer):
    """The fields of an article."""

    class Meta:
        """All of it."""

        model = Article
        fields: ClassVar = [field.name for field in Article._meta.fields]  # noqa: SLF001 — so is it called


class Page(pagination.CursorPagination):
    """Pages in the order of the keys, which are not counted."""

    ordering = "id"
    page_size = 20
    page_size_query_param = "limit"
    max_page_size = 1000


class Articles(viewsets.ModelViewSet):
    """The endpoints of articles."""

    queryset = Article.objects.all()
    serializer_class = ArticleSerializer
    pagination_class = Page


_router = routers.DefaultRouter(trailing_slash=False)
_router.register("articles", Articles)
urlpatterns = _router.urls
app = get_asgi_application()
