"""Random applications, each generated from its number.

`drawing.py` generates an application, and `playing.py` runs it. It is a plain application, eligible
for the fast path, with a few random parts. They are in `models.py`, `schemas.py`, `resources.py`,
`dependencies.py`, `listeners.py` and `routers.py`. A part that the fast path bypassed would change
the responses.
"""
