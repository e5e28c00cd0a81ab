"""A clinic with many types of columns.

`README.md` explains it.
"""
