"""Programs that show Brickwork at work; each runs, and is tested."""
