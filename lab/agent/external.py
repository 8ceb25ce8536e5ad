"""The external registry that user data may name: its login wins over the profile's (docs/palette.md §1.6, §4.2)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lab.agent import secret
from lab.agent.secret import Credential

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True)
class ExternalRegistry:
    """Where images come from instead: a login for a domain (with a path, maybe), and who vouches for it, PEM."""

    credential: Credential
    certificates: str

    def source(self, image: str) -> str:
        """Return the image as it is asked for there: under the domain, unless it already names that registry."""
        domain = self.credential.registry
        return image if image.partition("/")[0] == domain.partition("/")[0] else f"{domain}/{image}"


def external_registry(user_data: Mapping[str, Any]) -> ExternalRegistry | None:
    """Read ``registryCredentials``, or the first of ``externalRegistries``; None where there is neither."""
    listed = (user_data.get("externalRegistries") or {}).get("registries") or []
    given = user_data.get("registryCredentials") or (listed[0] if listed else None)
    if not given:
        return None
    password = str(given["password"])
    if given.get("encodedPassword"):
        password = secret.decode_once(password)
    login = Credential(str(given["domain"]), str(given["username"]), password)
    return ExternalRegistry(login, _pem(given.get("certificates")))


def _pem(certificates: object) -> str:
    """Take a list of PEM texts (installer reference) or one text (the page on external registries)."""
    return "\n".join(map(str, certificates)) if isinstance(certificates, list) else str(certificates or "")
