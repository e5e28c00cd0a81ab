"""Changes of rows, in an audit and an outbox."""
