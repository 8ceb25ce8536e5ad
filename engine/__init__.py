"""The Docker engine under the registry and the lab: reaching it, building images for it, owning what runs on it."""
