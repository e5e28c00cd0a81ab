"""The benchmarks of speed and memory."""
