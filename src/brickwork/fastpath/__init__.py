"""The fast path: operations without the ORM session.

It serves operations whose methods are not overridden, and reads or writes with one statement of
the driver. The ORM path handles all other requests, with identical responses. It also handles each
request that fails on the fast path: such a request has changed nothing.
"""

from brickwork.fastpath.change import fast_delete, fast_update
from brickwork.fastpath.create import fast_create, fast_create_batch
from brickwork.fastpath.eligibility import NotEligible
from brickwork.fastpath.joins import selects_only_columns
from brickwork.fastpath.operation import BoundOperation, FastOperation, build_fast_operation
from brickwork.fastpath.read import fast_get, fast_list

__all__ = [
    "BoundOperation",
    "FastOperation",
    "NotEligible",
    "build_fast_operation",
    "fast_create",
    "fast_create_batch",
    "fast_delete",
    "fast_get",
    "fast_list",
    "fast_update",
    "selects_only_columns",
]
