"""A registry that somebody else runs: reached over TLS, its accounts kept elsewhere, a few of them given to us.

Nothing is ever changed about its accounts. It takes the place of :class:`registry.server.PrivateRegistry` behind a
:class:`registry.witness.Witness`, with those accounts for :meth:`ExistingRegistry.account` to give out.
"""

from __future__ import annotations

import contextlib
import threading
from dataclasses import dataclass, field
from functools import cached_property
from http import HTTPStatus
from typing import TYPE_CHECKING

from bounded import trusting
from registry.client import RegistryClient
from registry.manifests import RegistryError
from registry.server import Account
from registry.tls import Authority

if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterator, Sequence

    from protected import Secret
    from registry.address import RegistryAddress


class AccountNotGivenError(LookupError):
    """No account that was given is what is needed; the message never has a password in it."""


@dataclass(frozen=True)
class GivenAccount:
    """An account of somebody's registry, its password guarded."""

    username: str
    password: Secret = field(repr=False)

    def revealed(self) -> Account:
        """Return it as the harness uses accounts; its password is not part of its text."""
        return Account(self.username, self.password.reveal())


@dataclass
class ExistingRegistry:
    """A registry at ``address`` whose certificate ``trusted`` (PEM; None: the machine's authorities) vouches for.

    ``pusher`` may push and delete images; ``given`` are accounts that may pull.
    """

    address: RegistryAddress
    pusher: GivenAccount
    given: Sequence[GivenAccount]
    trusted: str | None = None
    _used: list[GivenAccount] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @cached_property
    def authority(self) -> Authority:
        """Who vouches for what stands in front of it; the registry's own certificate is somebody else's."""
        return Authority("authority of a witness")

    def client_context(self) -> ssl.SSLContext:
        """Return a context that trusts who vouches for the registry, and checks its name."""
        return trusting(self.trusted)

    def client(self, account: Account | None = None) -> RegistryClient:
        """Return a client of its API for ``account``; without one it is the pusher's."""
        chosen = account or self.pusher.revealed()
        return RegistryClient(self.address, chosen.username, chosen.password, authorities=self.trusted)

    @contextlib.contextmanager
    def account(self, username: str | None = None, password: str | None = None) -> Iterator[Account]:
        """Lend one of the given accounts: with this name, with this password, or just one that nobody else has.

        Raises :exc:`AccountNotGivenError`: none of them is such a one, or all are lent.
        """
        with self._lock:
            chosen = self._choose(username, password)
            self._used.append(chosen)
        try:
            yield chosen.revealed()
        finally:
            with self._lock:
                self._used.remove(chosen)

    def _choose(self, username: str | None, password: str | None) -> GivenAccount:
        fitting = [
            known
            for known in self.given
            if username in (None, known.username) and password in (None, known.password.reveal())
        ]
        if not fitting:
            asked = "user name" if password is None else "password" if username is None else "user name and password"
            raise AccountNotGivenError(
                f"the accounts of the site's registry are kept elsewhere; none with the {asked} that the case needs is "
                "listed in registry.existing.accounts"
            )
        # whoever names an account means that one, also while it is lent
        free = [known for known in fitting if known not in self._used] or (fitting if username is not None else [])
        if not free:
            lent, listed = len(self._used), len(self.given)
            raise AccountNotGivenError(f"{lent + 1} accounts of the site's registry are needed and {listed} are given")
        return free[0]

    def check(self) -> list[str]:
        """Ask for a login with every account; return a line for each that is refused.

        Raises what requests raises when the registry cannot be reached or its certificate is not good.
        """
        with RegistryClient(self.address, authorities=self.trusted) as nobody:
            refused = nobody.refusal()
        if refused is None:
            return ["it lets everybody in; a private registry asks for a login"]
        offered = [challenge.scheme.capitalize() for challenge in refused.challenges]
        if not {"Basic", "Bearer"}.intersection(offered):
            return [f"it asks for {' or '.join(offered) or 'nothing'}; right are Basic and Bearer (tokens)"]
        return [line for known in (self.pusher, *self.given) for line in self._refused(known)]

    def _refused(self, known: GivenAccount) -> Iterator[str]:
        with self.client(known.revealed()) as client:
            if refused := client.refusal():
                what = "logs in, and may not pull below conformance/" if client.has_token else "cannot log in"
                yield f"user {known.username!r} {what}: {refused}"

    def start(self) -> None:
        """Nothing is to be started: it runs, and ends an outage only of what stands in front of it."""

    def stop(self) -> None:
        """Nothing is stopped: an outage is one of what stands in front of it."""

    def log(self) -> str:
        """Return no log: it is kept elsewhere."""
        return ""


def wipe(client: RegistryClient, repository: str) -> list[str]:
    """Delete every image of a repository, look a second time, and give a line for each tag that is still there."""
    refused = {tag: trouble for tag in client.tags(repository) if (trouble := _delete(client, repository, tag))}
    left = client.tags(repository)
    return [f"image {client.address.reference(repository, tag)}: {refused.get(tag, 'is still there')}" for tag in left]


def _delete(client: RegistryClient, repository: str, tag: str) -> str:
    """Delete what a tag names, of an index its images too; return what went wrong."""
    try:
        manifest = client.manifest(repository, tag)
        children = manifest.content.get("manifests", ()) if manifest.is_index else ()
        for digest in (manifest.digest, *(child["digest"] for child in children)):
            client.delete_manifest(repository, digest)
    except RegistryError as error:
        return "" if error.status == HTTPStatus.NOT_FOUND else str(error)  # another tag of the same image was first
    return ""
