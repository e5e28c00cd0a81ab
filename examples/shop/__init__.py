"""A shop with products, categories and orders.

Run it with `uvicorn --factory examples.shop.main:create_app`.
"""
