"""HTTP endpoints of a resource."""
