"""Generated projects, resources and schemas."""
