"""A real Kubernetes for the lab: where its programs come from."""
