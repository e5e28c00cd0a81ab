"""The check of docstrings and docs against the rules for language."""
