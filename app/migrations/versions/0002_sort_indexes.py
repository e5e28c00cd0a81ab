"""Add an index for every sort field."""

from alembic import op

from brickwork import c_collation

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

TEXTS = (("articles", "title"), ("articles", "slug"), ("articles", "status"), ("authors", "name"))
OTHERS = (
    ("articles", "views"),
    ("articles", "rating"),
    ("articles", "published_at"),
    ("articles", "created_at"),
    ("authors", "created_at"),
    ("comments", "created_at"),
)


def upgrade() -> None:
    """Apply the migration."""
    for table, name in TEXTS:
        order = c_collation(name)
        op.create_index(f"ix_{table}_{name}", table, [name, "id"], postgresql_ops=order)
    for table, name in OTHERS:
        op.create_index(f"ix_{table}_{name}", table, [name, "id"])


def downgrade() -> None:
    """Revert the migration."""
    for table, name in (*TEXTS, *OTHERS):
        op.drop_index(f"ix_{table}_{name}", table)
