"""Garbage of a few objects, collected without a look at all that a run of tests has made."""

import gc
from collections.abc import Generator
from contextlib import contextmanager


@contextmanager
def collected() -> Generator[None]:
    """Collect what becomes garbage in the block, when it ends; older objects are left alone."""
    gc.freeze()
    try:
        yield
        gc.collect()
    finally:
        gc.unfreeze()
