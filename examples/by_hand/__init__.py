"""One resource written out by hand: plain handlers over Brickwork's helpers.

Run it with `uvicorn --factory examples.by_hand.main:create_app`.
"""
