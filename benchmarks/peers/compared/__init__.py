"""The applications that `benchmarks.comparison` asks, each as its library's documentation shows."""
