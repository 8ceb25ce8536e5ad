"""The operations of the endpoint, one module per subject, each with a table of routes."""
