"""A resource written by hand, with Brickwork's helpers.

Run it with `uvicorn --factory examples.by_hand.main:create_app`.
"""
