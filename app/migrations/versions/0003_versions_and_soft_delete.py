"""Add versions, soft delete and idempotency keys."""

from typing import Literal

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

LIVE = sa.text("deleted_at IS NULL")


def upgrade() -> None:
    """Apply the migration."""
    op.create_table(
        "idempotency_keys",
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("fingerprint", sa.String(64), nullable=False),
        sa.Column("status", sa.Integer(), nullable=False),
        sa.Column("headers", sa.JSON(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_idempotency_keys"),
    )
    op.create_index("ix_idempotency_keys_created_at", "idempotency_keys", ["created_at"])
    is_deleted = sa.Computed("deleted_at IS NOT NULL", persisted=True)
    with op.batch_alter_table("articles", recreate=_recreate()) as table:
        table.add_column(sa.Column("deleted_at", sa.DateTime(timezone=True), nullable=True))
        table.add_column(sa.Column("is_deleted", sa.Boolean(), is_deleted, nullable=False))
        table.add_column(sa.Column("version", sa.Integer(), nullable=False, server_default="1"))
        table.drop_constraint("uq_articles_slug", type_="unique")
    op.create_index(
        "live_articles_slug",
        "articles",
        ["slug"],
        unique=True,
        postgresql_where=LIVE,
        sqlite_where=LIVE,
    )
    op.create_index("uq_articles_id_is_deleted", "articles", ["id", "is_deleted"], unique=True)
    _replace_foreign_key(hides=True)


def downgrade() -> None:
    """Revert the migration: restore deleted articles. Fails if their slugs are taken."""
    _replace_foreign_key(hides=False)
    op.drop_index("uq_articles_id_is_deleted", "articles")
    op.drop_index("live_articles_slug", "articles")
    with op.batch_alter_table("articles") as table:
        for name in ("is_deleted", "deleted_at", "version"):
            table.drop_column(name)
        table.create_unique_constraint("uq_articles_slug", ["slug"])
    op.drop_table("idempotency_keys")


def _replace_foreign_key(*, hides: bool) -> None:
    """Make comments refer to articles that are not deleted, or to any."""
    plain, hiding = (
        "fk_comments_article_id_articles",
        "fk_comments_article_id_article_is_deleted_articles",
    )
    with op.batch_alter_table("comments", recreate=_recreate()) as table:
        if hides:
            mark: sa.Column[bool] = sa.Column(
                "article_is_deleted", sa.Boolean(), nullable=False, server_default=sa.false()
            )
            table.add_column(mark)
            table.drop_constraint(plain, type_="foreignkey")
            table.create_foreign_key(
                hiding,
                "articles",
                ["article_id", "article_is_deleted"],
                ["id", "is_deleted"],
                onupdate="CASCADE",
                ondelete="CASCADE",
            )
        else:
            table.drop_constraint(hiding, type_="foreignkey")
            table.drop_column("article_is_deleted")
            table.create_foreign_key(plain, "articles", ["article_id"], ["id"])


def _recreate() -> Literal["always", "never"]:
    """Return whether to copy the table, because SQLite cannot add these columns in place."""
    return "always" if op.get_bind().dialect.name == "sqlite" else "never"
