"""Quick garbage collection of a few objects."""

import gc
from collections.abc import Generator
from contextlib import contextmanager


@contextmanager
def collected_garbage() -> Generator[None]:
    """Collect the garbage of the block at its end, without scanning older objects."""
    gc.freeze()
    try:
        yield
        gc.collect()
    finally:
        gc.unfreeze()
