"""Log lines about the availability of a database."""

import logging
from collections.abc import Collection, Mapping
from typing import Final

from sqlalchemy import URL

log: Final = logging.getLogger("brickwork")

_NAMED: Final = 3
"""How many missing tables a line names."""

_REMEDIES: Final[Mapping[str, str]] = {
    "28": "Correct the user and the password in its URL.",
    "3D": "Create the database, or correct its name in the URL.",
    "53": "Lower pool_size, or let the server have more connections.",
    "57": "Wait until the server has started.",
}
"""The remedy for each class of SQLSTATE."""


class Availability:
    """The availability of one database: a log line for each begin and end of an outage."""

    def __init__(self, url: URL) -> None:
        """Name the database by its *url*, without the password."""
        self._name = url.set(drivername=url.get_backend_name(), query={}).render_as_string()
        self._is_file = url.get_backend_name() == "sqlite"
        self._is_out = False

    def log_unreachable(self, error: BaseException) -> None:
        """Log that *error* prevents connections, once for each outage."""
        if not self._is_out:
            self._is_out = True
            cause = " ".join(str(error).split()).rstrip(".") or "it does not answer"
            remedy = self._remedy(error)
            log.error("The database %s cannot be reached: %s. %s", self._name, cause, remedy)

    def log_reachable(self) -> None:
        """Log the end of an outage, if there was one."""
        if self._is_out:
            self._is_out = False
            log.warning("The database %s can be reached again.", self._name)

    def log_missing(self, tables: Collection[str]) -> None:
        """Log that the database lacks *tables*."""
        names = ", ".join(sorted(tables)[:_NAMED])
        others = f" and {len(tables) - _NAMED} more" if len(tables) > _NAMED else ""
        remedy = "Run the migrations (alembic upgrade head), or create them (Database.create_all)."
        log.error("The database %s lacks tables: %s%s. %s", self._name, names, others, remedy)

    def _remedy(self, error: BaseException) -> str:
        if self._is_file:
            return "Correct the path in its URL, or let the service write to its folder."
        state = str(getattr(error, "sqlstate", ""))
        return _REMEDIES.get(state[:2], "Start the database, or correct its URL.")
