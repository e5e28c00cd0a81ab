"""An application of hand-written handlers, which adopts Brickwork step by step.

Run a step with `uvicorn --factory examples.existing_app.step_1:create_app`.
"""
