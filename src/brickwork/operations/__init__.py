"""The operations of a resource, an endpoint each."""
