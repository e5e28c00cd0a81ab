"""What the environment says of how to run."""

from pydantic_settings import BaseSettings


class Settings(BaseSettings):
    """Settings of the service; each is the environment variable of its name, in capitals."""

    database_url: str = "sqlite+aiosqlite:///brickwork.db"
    host: str = "127.0.0.1"
    port: int = 8000
