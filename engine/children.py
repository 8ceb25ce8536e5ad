"""The environment of child processes: what programs need to run, and nothing that could be a secret.

The user's environment holds API keys and registry passwords. A child shows its environment to whoever may look at the
process, and passes it on; so each gets these variables and no others.
"""

from __future__ import annotations

import os

_NEEDED = frozenset({
    "PATH", "HOME", "USER", "LOGNAME", "LANG", "LANGUAGE", "TZ", "TMPDIR", "TERM", "NO_COLOR", "XDG_CACHE_HOME",
    "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY",
    "SSL_CERT_FILE", "SSL_CERT_DIR", "PYTHONPATH", "PYTHONDONTWRITEBYTECODE", "PYTHONPYCACHEPREFIX",
    "PYTHONWARNINGS",
    "DOCKER_HOST", "DOCKER_CONTEXT", "DOCKER_CONFIG", "DOCKER_CERT_PATH", "DOCKER_TLS_VERIFY", "DOCKER_API_VERSION",
})  # fmt: skip


def environment(**more: str) -> dict[str, str]:
    """Return the environment for a child process, with ``more`` in it."""
    kept = {name: value for name, value in os.environ.items() if name.upper() in _NEEDED or name.startswith("LC_")}
    return {**kept, **more}
