"""Executors: a statement, or a unit of work.

Both execute the plans of operations, with identical results. The statement goes past the ORM
session, in one round trip of the driver, and comes first. It declines a plan that it cannot prove
equal, and has changed nothing then. The unit of work executes that plan with the session and the
methods of the resource.
"""
