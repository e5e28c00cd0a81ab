"""The fast lane: operations of which no step is overridden go to the driver, and past the session.

It is taken by itself, for what is asked for most. Whatever is unusual about a resource, an
application or a request is left to the ordinary lane, which gives the same bytes; so is every
request that fails, since nothing was done for it.
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
