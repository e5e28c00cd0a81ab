"""Tests of generated projects, resources and schemas."""
