"""The tests: a file a module, and `service` for what is seen through HTTP."""
