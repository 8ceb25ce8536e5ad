"""The private registry: the server itself, its accounts and images, and the witness in front of it."""
