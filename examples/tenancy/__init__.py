"""A service for many tenants, with users, roles and tokens.

Run it with `uvicorn --factory examples.tenancy.main:create_app`.
"""
