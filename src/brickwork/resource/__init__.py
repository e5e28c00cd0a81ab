"""Resources and their definitions."""
