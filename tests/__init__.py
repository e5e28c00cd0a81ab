"""The tests of Brickwork.

The folders mirror `src/brickwork`. `contract` tests the reference service through HTTP, and `slow`
has the tests that take minutes.
"""
