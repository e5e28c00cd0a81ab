"""HTTP, without resources."""
