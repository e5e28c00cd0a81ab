"""The answers of several libraries to the same requests."""
