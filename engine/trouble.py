"""How an engine's trouble shows."""

from __future__ import annotations

from docker.errors import DockerException
from requests import RequestException

#: What a client raises of an engine that fails (docker-py's own) or does not answer in time (its library's).
TROUBLE = (DockerException, RequestException)
