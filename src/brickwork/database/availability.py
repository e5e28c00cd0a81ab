"""Ways in which a database can be away, and their lines in the log."""

import logging
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from ssl import SSLCertVerificationError
from typing import Final, TypeVar

from asyncpg import InvalidCachedStatementError, OutdatedSchemaCacheError

from brickwork.problems import ServiceUnavailable

T = TypeVar("T")

log: Final = logging.getLogger("brickwork")

_NAMED: Final = 3
"""How many missing tables a line names."""


@dataclass(frozen=True)
class Outage:
    """A way in which a database can be away: its lines in the log, and the usual remedy."""

    begin: str
    end: str
    remedy: str


UNREACHABLE: Final = Outage(
    "cannot be reached", "can be reached again", "Start the database, or correct its URL."
)
SILENT: Final = Outage(
    "does not answer in time",
    "answers in time again",
    "Look for a server that hangs, for locks and for slow statements, or raise pool_timeout.",
)
EXHAUSTED: Final = Outage(
    "has no free connection",
    "has free connections again",
    "Raise pool_size, or look for transactions that last.",
)
UNWRITABLE: Final = Outage(
    "cannot be written",
    "can be written again",
    "Make room on its disk, and let the service write to it.",
)
FAILING: Final = Outage("fails", "works again", "Look into the log of its server.")

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
_NOT_TO_BE_WRITTEN: Final = {"25006", "SQLITE_READONLY"}
"""The answers to a write where the connection only reads, which is a bug of the program."""

_STALE: Final = {"26000", "42P05"}
"""The SQLSTATES where a connection knows another prepared statement of a name than its server."""
_LOST: Final = ("08", "57P", "25006", "XX")
"""The SQLSTATES after which a connection is not used again: closed, to a standby, or unsure."""

_REMEDIES: Final[Mapping[str, str]] = {
    "08P01": "Behind a connection pooler, use Database(url, pooler=True).",
    "28": "Correct the user and the password in its URL.",
    "3D": "Create the database, or correct its name in the URL.",
    "53300": "Lower pool_size, or let the server have more connections.",
    "57P03": "Wait until the server has started.",
}
"""The remedies for SQLSTATES, or classes of them, for which the usual one is wrong."""

_CERTIFICATE: Final = "Name the certificates to trust in its URL: sslrootcert."
"""The remedy where the certificate of a server is not trusted."""

_FILE: Final = "Correct the path in its URL, or let the service write to its folder."
"""The remedy where a file cannot be opened."""


def sqlstate_of(error: BaseException) -> str:
    """Return the SQLSTATE of an error of PostgreSQL, or the name of SQLite's code; else nothing."""
    state = getattr(error, "sqlstate", None) or getattr(error, "sqlite_errorname", None)
    return str(state or "")


def driver_error(error: BaseException) -> BaseException:
    """Return what a driver raised, where *error* is what SQLAlchemy made of it."""
    error = getattr(error, "orig", None) or error
    # One of its errors, for a prepared statement that is outdated, does not tell its origin.
    return getattr(error, "orig", error) or error.__cause__ or error


def is_sqlite_locked(error: BaseException) -> bool:
    """Tell whether another connection has locked the file of SQLite."""
    return sqlstate_of(driver_error(error)).startswith(("SQLITE_BUSY", "SQLITE_LOCKED"))


def classify_outage(error: BaseException, *, readonly: bool) -> Outage | None:
    """Return the outage that *error*, of a driver, is a sign of; None for other errors.

    On a connection that is *readonly*, the refusal to write is no outage.
    """
    if isinstance(error, TimeoutError):
        return SILENT
    if isinstance(error, OSError):
        return UNREACHABLE
    state = sqlstate_of(error)
    if readonly and state in _NOT_TO_BE_WRITTEN:
        return None
    return _longest({**_SQLSTATES, **_SQLITE_CODES}, state)


def is_stale_plan(error: BaseException) -> bool:
    """Tell whether *error* says that what a connection remembers of the database has changed.

    Another attempt succeeds. Tables or types were altered meanwhile, for example.
    """
    if isinstance(error, InvalidCachedStatementError | OutdatedSchemaCacheError):
        return True
    state = sqlstate_of(error)
    return state in _STALE or (state == "XX000" and str(error).startswith("cache lookup failed"))


def is_connection_lost(error: BaseException, *, readonly: bool) -> bool:
    """Tell whether the connection on which *error* occurred is not to be used again.

    *readonly* tells that it refuses to write.
    """
    if isinstance(error, OSError) or getattr(error, "severity_en", None) in {"FATAL", "PANIC"}:
        return True
    state = sqlstate_of(error)
    refused = readonly and state in _NOT_TO_BE_WRITTEN
    return not refused and (state in _STALE or state.startswith(_LOST))


def database_unavailable(*, again: bool = False) -> ServiceUnavailable:
    """Return what to tell a client whom the database cannot answer now."""
    text = "The database is busy or away."
    return ServiceUnavailable(text, headers={"Retry-After": "1"}, again=again)


class Availability:
    """The availability of one database: a log line for each begin and end of an outage."""

    def __init__(self, name: str, *, is_file: bool) -> None:
        """Call the database *name* in the log; *is_file* tells that it is one of SQLite."""
        self._name = name
        self._is_file = is_file
        self.outages: dict[Outage, set[bool]] = {}
        """The outages that have begun, and whom they keep from the database: readers or writers."""

    def begin(self, outage: Outage, cause: object, *, readonly: bool) -> None:
        """Log that *outage* began, once until it ends, with its *cause*.

        All connections are in use, of course, where none is answered.
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
        """Log the ends of outages, since a reader or a writer succeeded; *wrote* tells if it wrote.

        Whoever writes can read, too.
        """
        for outage, kept in [*self.outages.items()]:
            if outage is UNWRITABLE and not wrote:
                continue
            kept.difference_update({readonly} if outage is EXHAUSTED else {readonly, True})
            if not kept or outage is UNREACHABLE:
                del self.outages[outage]
                log.warning("The database %s %s.", self._name, outage.end)

    def reached(self) -> None:
        """Log that the database can be reached again, if it could not."""
        if self.outages.pop(UNREACHABLE, None) is not None:
            log.warning("The database %s %s.", self._name, UNREACHABLE.end)

    def log_missing(self, tables: Collection[str]) -> None:
        """Log that the database lacks *tables*."""
        names = ", ".join(sorted(tables)[:_NAMED])
        others = f" and {len(tables) - _NAMED} more" if len(tables) > _NAMED else ""
        remedy = "Run the migrations (alembic upgrade head), or create them (Database.create_all)."
        log.error("The database %s lacks tables: %s%s. %s", self._name, names, others, remedy)

    def _remedy(self, outage: Outage, cause: object) -> str:
        if self._is_file and outage is UNREACHABLE:
            return _FILE
        if isinstance(cause, SSLCertVerificationError):
            return _CERTIFICATE
        state = sqlstate_of(cause) if isinstance(cause, BaseException) else ""
        return _longest(_REMEDIES, state) or outage.remedy


def _longest(known: Mapping[str, T], state: str) -> T | None:
    """Return the value of the longest key that *state* begins with; None if it is none."""
    keys = [key for key in known if state.startswith(key)]
    return known[max(keys, key=len)] if keys else None
