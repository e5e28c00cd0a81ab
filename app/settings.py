"""What the environment says of how to run."""

from pydantic_settings import BaseSettings


class Settings(BaseSettings):
    """Settings of the service; each is the environment variable of its name, in capitals."""

    database_url: str = "sqlite+aiosqlite:///brickwork.db"
    host: str = "127.0.0.1"
    port: int = 8000
    cursor_keys: list[str] = []
    """Secrets that encrypt cursors, as JSON; all processes of the service must have the same."""
    development: bool = False
    """Whether the log warns at start-up of lists that no index serves."""
