"""What the environment says of how to run."""

from typing import Final, Self

from pydantic import PositiveInt, model_validator
from pydantic_core import PydanticCustomError
from pydantic_settings import BaseSettings

_NO_KEYS: Final = (
    "Several WORKERS need CURSOR_KEYS, secrets of 32 characters or more as JSON: each process "
    "would refuse the cursors of the others."
)


class Settings(BaseSettings):
    """Settings of the service; each is the environment variable of its name, in capitals."""

    database_url: str = "sqlite+aiosqlite:///brickwork.db"
    host: str = "127.0.0.1"
    port: int = 8000
    workers: PositiveInt = 1
    """How many processes serve."""
    cursor_keys: list[str] = []
    """Secrets that encrypt cursors, as JSON; all processes of the service must have the same."""
    development: bool = False
    """Whether the log warns at start-up of lists that no index serves."""

    @model_validator(mode="after")
    def _require_keys(self) -> Self:
        if self.workers > 1 and not (self.cursor_keys or self.development):
            raise PydanticCustomError("no_keys", _NO_KEYS)
        return self
