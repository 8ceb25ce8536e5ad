"""Child processes: their environment has nothing that could be a secret, and they end with this process.

The user's environment holds API keys and registry passwords. A child shows its environment to whoever may look at the
process, and passes it on; so each gets these variables and no others.
"""

from __future__ import annotations

import os
import subprocess
import sys
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

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


_SETPRIV = ("setpriv", "--pdeathsig", "TERM")
#: Becomes a program that is told to end (SIGTERM) when the thread that started it is no more.
_TIED = (
    "import ctypes, os, sys; ctypes.CDLL(None).prctl(1, 15)\n"  # PR_SET_PDEATHSIG
    "if os.getppid() == int(sys.argv[1]): os.execvp(sys.argv[2], sys.argv[2:])"
)


def tied(command: Sequence[str]) -> list[str]:
    """Return the command for a child that ends with this process, also when that is killed.

    The thread that starts it must wait for it.
    """
    tie = _SETPRIV if _has_setpriv() else (sys.executable, "-I", "-S", "-c", _TIED, str(os.getpid()))
    return [*tie, *command]


@cache
def _has_setpriv() -> bool:
    """Return whether util-linux' program is there: it starts sooner than Python, and busybox' has no such option."""
    try:
        return not subprocess.run([*_SETPRIV, "true"], check=False, capture_output=True, env=environment()).returncode
    except OSError:
        return False
