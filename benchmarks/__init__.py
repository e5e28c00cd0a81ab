"""What is promised in milliseconds and megabytes, measured: timing is never a test."""
