"""Executors: one statement of the driver, or a unit of work of the session.

Both carry out the plans of operations, with identical results. The statement comes first. It
declines what it cannot prove equal, and has changed nothing then: the unit of work carries out the
plan.
"""
