"""The operators' REST API."""
