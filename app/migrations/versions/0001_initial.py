"""Add authors, articles and comments."""

from datetime import datetime

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply the migration."""
    op.create_table(
        "authors",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.String(100), nullable=False),
        sa.Column("email", sa.String(254), nullable=False),
        sa.Column("bio", sa.Text(), nullable=True),
        *_times(),
        sa.PrimaryKeyConstraint("id", name="pk_authors"),
        sa.UniqueConstraint("email", name="uq_authors_email"),
    )
    op.create_table(
        "articles",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("title", sa.String(200), nullable=False),
        sa.Column("slug", sa.String(100), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("status", sa.String(9), nullable=False),
        sa.Column("views", sa.BigInteger(), nullable=False),
        sa.Column("rating", sa.Double[float](), nullable=True),
        sa.Column("published_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("meta", sa.JSON(), nullable=True),
        sa.Column("author_id", sa.Uuid(), nullable=True),
        *_times(),
        sa.PrimaryKeyConstraint("id", name="pk_articles"),
        sa.UniqueConstraint("slug", name="uq_articles_slug"),
        sa.ForeignKeyConstraint(
            ["author_id"], ["authors.id"], name="fk_articles_author_id_authors"
        ),
        sa.CheckConstraint("status IN ('draft', 'published')", name=op.f("ck_articles_status")),
        sa.CheckConstraint("views >= 0", name=op.f("ck_articles_views")),
    )
    op.create_index("ix_articles_author_id", "articles", ["author_id"])
    op.create_table(
        "comments",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("article_id", sa.Uuid(), nullable=False),
        sa.Column("author_name", sa.String(100), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        *_times(),
        sa.PrimaryKeyConstraint("id", name="pk_comments"),
        sa.ForeignKeyConstraint(
            ["article_id"], ["articles.id"], name="fk_comments_article_id_articles"
        ),
    )
    op.create_index("ix_comments_article_id", "comments", ["article_id"])


def downgrade() -> None:
    """Revert the migration."""
    op.drop_table("comments")
    op.drop_table("articles")
    op.drop_table("authors")


def _times() -> list[sa.Column[datetime]]:
    return [
        sa.Column(name, sa.DateTime(timezone=True), nullable=False)
        for name in ("created_at", "updated_at")
    ]
