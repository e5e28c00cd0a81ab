"""The site of the documentation: its pages and its build."""
