"""Helpers of the tests: applications, servers, clients, databases."""
