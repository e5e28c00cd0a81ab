"""Random applications, each made from its number; `drawing.py` draws one, `playing.py` runs it.

An application is a plain one, which the fast path answers, with a few parts that are drawn among
all those of `models.py`, `schemas.py`, `resources.py`, `dependencies.py`, `listeners.py` and
`routers.py`. A part changes the answers where the fast path passes by it.
"""
