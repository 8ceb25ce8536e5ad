"""How tests speak with a witness: as a host, as a bare session, byte by byte."""

from __future__ import annotations

import base64
import hashlib
import os
import socket
import ssl
from pathlib import Path

import requests

from registry.client import RegistryClient
from registry.server import Account, PrivateRegistry
from registry.witness import Witness
from waiting.retry import RetryPolicy

ALPHANUMERIC = "Passw0rdPassw0rd"
MIB = 1 << 20
#: A host that asks once: tests look at what one request meets.
ONCE = RetryPolicy(attempts=1)


def client_of(witness: Witness, account: Account) -> RegistryClient:
    """Return a client that goes through the witness, as a host would."""
    return RegistryClient(
        witness.address, account.username, account.password, authorities=witness.authority.pem, retry=ONCE
    )


def session_of(witness: Witness, tmp_path: Path) -> requests.Session:
    """Return a bare session that trusts the witness."""
    bundle = tmp_path / "authority.pem"
    bundle.write_text(witness.authority.pem)
    session = requests.Session()
    session.trust_env, session.verify = False, str(bundle)
    return session


def basic(username: str, password: bytes | str) -> bytes:
    """Return the value of an Authorization header."""
    secret = password.encode() if isinstance(password, str) else password
    return b"Basic " + base64.b64encode(username.encode() + b":" + secret)


def raw_connection(witness: Witness) -> ssl.SSLSocket:
    """Shake hands and leave the rest to the test."""
    plain = socket.create_connection((witness.address.host, witness.address.port), timeout=20)
    return witness.authority.client_context().wrap_socket(plain, server_hostname=witness.address.host)


def drained(connection: socket.socket) -> bytes:
    """Read until the other side ends."""
    found = b""
    try:
        while piece := connection.recv(4096):
            found += piece
    except ConnectionError:
        pass
    return found


def status_of(answer: bytes) -> int:
    """Read the status line of an answer."""
    return int(answer.split()[1])


def big_blob(registry: PrivateRegistry, size: int) -> str:
    """Put a blob of random-looking bytes straight into the registry."""
    block = os.urandom(MIB)
    running = hashlib.sha256()
    for _ in range(size // MIB):
        running.update(block)
    digest = f"sha256:{running.hexdigest()}"
    registry.client().push_blob("big/blob", digest, size, (block for _ in range(size // MIB)))
    return digest
