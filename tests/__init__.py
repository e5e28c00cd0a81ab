"""The tests: a file a module, `contract` for what is seen through HTTP, `slow` for the rest."""
