"""Database outages, and their lines in the log."""

import logging
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from ssl import SSLCertVerificationError
from typing import Final, TypeVar

from brickwork.database.drivers import InvalidCachedStatementError, OutdatedSchemaCacheError
from brickwork.problems import ServiceUnavailable

T = TypeVar("T")

log: Final = logging.getLogger("brickwork")

_MAX_NAMES: Final = 3
"""Maximum number of missing tables in a log line."""


@dataclass(frozen=True)
class Outage:
    """A kind of outage: its two log messages, and the usual remedy."""

    begin: str
    end: str
    remedy: str


UNREACHABLE: Final = Outage(
    "cannot be reached", "can be reached again", "Start the database, or correct its URL."
)
SILENT: Final = Outage(
    "does not answer in time",
    "answers in time again",
    "Check for a hanging server, locks and slow statements, or raise pool_timeout.",
)
EXHAUSTED: Final = Outage(
    "has no free connection",
    "has free connections again",
    "Raise pool_size, or look for long transactions.",
)
UNWRITABLE: Final = Outage(
    "cannot be written",
    "can be written again",
    "Free space on its disk, and give the service write permission.",
)
FAILING: Final = Outage("fails", "works again", "Check the log of its server.")

_SQLSTATES: Final[Mapping[str, Outage]] = {
    "08": UNREACHABLE,  # connection exception
    "28": UNREACHABLE,  # authentication
    "3D": UNREACHABLE,  # no such database
    "57P": UNREACHABLE,  # shutting down, starting up, or ended by an administrator
    "53300": UNREACHABLE,  # too many connections
    "57014": SILENT,  # statement timeout
    "25006": UNWRITABLE,  # read-only, as a standby is
    "53100": UNWRITABLE,  # disk full
    "53": FAILING,  # not enough memory or other resources
    "58": FAILING,  # input, output, or a missing file
    "XX001": FAILING,  # data corrupted
    "XX002": FAILING,  # index corrupted
}
_SQLITE_CODES: Final[Mapping[str, Outage]] = {
    "SQLITE_CANTOPEN": UNREACHABLE,
    "SQLITE_NOTADB": UNREACHABLE,
    "SQLITE_INTERRUPT": SILENT,
    "SQLITE_FULL": UNWRITABLE,
    "SQLITE_READONLY": UNWRITABLE,
    "SQLITE_PERM": FAILING,
    "SQLITE_NOMEM": FAILING,
    "SQLITE_IOERR": FAILING,
    "SQLITE_CORRUPT": FAILING,
}
_READ_ONLY_STATES: Final = {"25006", "SQLITE_READONLY"}
"""Errors of a write on a read-only connection, which is a bug in the program."""

_STALE_STATES: Final = {"26000", "42P05"}
"""SQLSTATEs for prepared statements on which client and server disagree."""
_LOST_STATES: Final = ("08", "57P", "25006", "XX")
"""SQLSTATEs after which a connection is discarded: closed, on a standby, or in doubt."""

_REMEDIES: Final[Mapping[str, str]] = {
    "08P01": "Behind a connection pooler, use Database(url, pooler=True).",
    "28": "Correct the user and the password in its URL.",
    "3D": "Create the database, or correct its name in the URL.",
    "53300": "Lower pool_size, or raise max_connections of the server.",
    "57P03": "Wait until the server has started.",
}
"""Remedies by SQLSTATE or class, where the usual remedy is wrong."""

_CERTIFICATE_REMEDY: Final = "Name the certificates to trust in its URL: sslrootcert."
"""Remedy for an untrusted server certificate."""

_FILE_REMEDY: Final = (
    "Correct the path in its URL, or give the service write permission for its folder."
)
"""Remedy for a file that cannot be opened."""


def sqlstate_of(error: BaseException) -> str:
    """Return the SQLSTATE, or the name of SQLite's error code. Empty for other errors."""
    state = getattr(error, "sqlstate", None) or getattr(error, "sqlite_errorname", None)
    return str(state or "")


def driver_error(error: BaseException) -> BaseException:
    """Return the driver's exception that SQLAlchemy wrapped in *error*, else *error*."""
    error = getattr(error, "orig", None) or error
    # SQLAlchemy's error for an outdated prepared statement has no `orig`.
    return getattr(error, "orig", error) or error.__cause__ or error


def is_sqlite_locked(error: BaseException) -> bool:
    """Return whether another connection holds the lock on the SQLite file."""
    return sqlstate_of(driver_error(error)).startswith(("SQLITE_BUSY", "SQLITE_LOCKED"))


def classify_outage(error: BaseException, *, readonly: bool) -> Outage | None:
    """Return the outage that the driver's *error* indicates. None for other errors.

    On a *readonly* connection, a rejected write is no outage.
    """
    if isinstance(error, TimeoutError):
        return SILENT
    if isinstance(error, OSError):
        return UNREACHABLE
    state = sqlstate_of(error)
    if readonly and state in _READ_ONLY_STATES:
        return None
    return _longest_prefix({**_SQLSTATES, **_SQLITE_CODES}, state)


def is_stale_plan(error: BaseException) -> bool:
    """Return whether *error* comes from an outdated statement or type cache of a connection.

    Altered tables or types cause it, for example. A retry succeeds.
    """
    if isinstance(error, InvalidCachedStatementError | OutdatedSchemaCacheError):
        return True
    state = sqlstate_of(error)
    return state in _STALE_STATES or (
        state == "XX000" and str(error).startswith("cache lookup failed")
    )


def is_connection_lost(error: BaseException, *, readonly: bool) -> bool:
    """Return whether *error* makes its connection unusable.

    On a *readonly* connection, a rejected write does not.
    """
    if isinstance(error, OSError) or getattr(error, "severity_en", None) in {"FATAL", "PANIC"}:
        return True
    state = sqlstate_of(error)
    write_rejected = readonly and state in _READ_ONLY_STATES
    return not write_rejected and (state in _STALE_STATES or state.startswith(_LOST_STATES))


def database_unavailable(*, retryable: bool = False) -> ServiceUnavailable:
    """Return the 503 for a database that is busy or away.

    *retryable* allows a retry on the server.
    """
    text = "The database is busy or away."
    return ServiceUnavailable(text, headers={"Retry-After": "1"}, retryable=retryable)


class Availability:
    """The availability of one database: a log line for each begin and end of an outage."""

    def __init__(self, name: str, *, is_file: bool) -> None:
        """Name the database *name* in the log. *is_file* is true for SQLite."""
        self._name = name
        self._is_file = is_file
        self.outages: dict[Outage, set[bool]] = {}
        """Current outages. The set holds True if readers are affected, False if writers are."""

    def begin(self, outage: Outage, cause: object, *, readonly: bool) -> None:
        """Log that *outage* began and its *cause*, once until the outage ends.

        `EXHAUSTED` is not logged during another outage that keeps connections busy.
        """
        if outage is EXHAUSTED and (SILENT in self.outages or UNREACHABLE in self.outages):
            return
        if outage not in self.outages:
            self.outages[outage] = set()
            text = " ".join(str(cause).split()).rstrip(".") or "it does not answer"
            remedy = self._remedy(outage, cause)
            log.error("The database %s %s: %s. %s", self._name, outage.begin, text, remedy)
        self.outages[outage].add(readonly)

    def end(self, *, readonly: bool, wrote: bool) -> None:
        """Log the end of each outage that a successful transaction disproves.

        A writer's success also ends the outages of readers. *wrote* says whether it changed rows.
        """
        for outage, kept in [*self.outages.items()]:
            if outage is UNWRITABLE and not wrote:
                continue
            kept.difference_update({readonly} if outage is EXHAUSTED else {readonly, True})
            if not kept or outage is UNREACHABLE:
                del self.outages[outage]
                log.warning("The database %s %s.", self._name, outage.end)

    def mark_reachable(self) -> None:
        """Log that the database can be reached again, if it could not."""
        if self.outages.pop(UNREACHABLE, None) is not None:
            log.warning("The database %s %s.", self._name, UNREACHABLE.end)

    def log_missing(self, tables: Collection[str]) -> None:
        """Log that the database lacks *tables*."""
        names = ", ".join(sorted(tables)[:_MAX_NAMES])
        others = f" and {len(tables) - _MAX_NAMES} more" if len(tables) > _MAX_NAMES else ""
        remedy = "Run the migrations (alembic upgrade head), or create them (Database.create_all)."
        log.error("The database %s lacks tables: %s%s. %s", self._name, names, others, remedy)

    def log_ungenerated(self, keys: Collection[str]) -> None:
        """Log that SQLite cannot generate *keys*, which are columns of existing tables."""
        names = ", ".join(sorted(keys)[:_MAX_NAMES])
        text = "Rebuild their tables with INTEGER keys, or let clients send the keys."
        log.error(
            "SQLite generates only INTEGER keys, but these have other types: %s. %s", names, text
        )

    def _remedy(self, outage: Outage, cause: object) -> str:
        if self._is_file and outage is UNREACHABLE:
            return _FILE_REMEDY
        if isinstance(cause, SSLCertVerificationError):
            return _CERTIFICATE_REMEDY
        state = sqlstate_of(cause) if isinstance(cause, BaseException) else ""
        return _longest_prefix(_REMEDIES, state) or outage.remedy


def _longest_prefix(known: Mapping[str, T], state: str) -> T | None:
    """Return the value of the longest key that is a prefix of *state*. None without one."""
    keys = [key for key in known if state.startswith(key)]
    return known[max(keys, key=len)] if keys else None
