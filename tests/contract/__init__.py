"""The service seen through HTTP, on both databases."""
