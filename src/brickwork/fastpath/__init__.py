"""The fast lane: operations of which no step is overridden go to the driver, and past the session.

It is taken by itself, for what is asked for most. Whatever is unusual about a resource, an
application or a request is left to the ordinary lane, which gives the same bytes; so is every
request that fails, since nothing was done for it.
"""

from brickwork.fastpath.change import delete_lane, update_lane
from brickwork.fastpath.create import create_batch_lane, create_lane
from brickwork.fastpath.eligibility import Ordinary
from brickwork.fastpath.joins import shows_columns
from brickwork.fastpath.operation import Included, Lane, lane_of
from brickwork.fastpath.read import get_lane, list_lane

__all__ = [
    "Included",
    "Lane",
    "Ordinary",
    "create_batch_lane",
    "create_lane",
    "delete_lane",
    "get_lane",
    "lane_of",
    "list_lane",
    "shows_columns",
    "update_lane",
]
