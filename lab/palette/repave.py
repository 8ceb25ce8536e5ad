"""What makes a cluster replace its nodes, in one place.

The guide, step 8: giving the new profile version to an active cluster "will trigger a full cluster repave". The
vendor's upgrade-behaviour page says of the same layer that only ``system.uri`` repaves and that ``providerCredentials``
is a no-op (docs/palette.md §1.10, X1). The lab follows the guide for these two; every other key of the OS layer is
applied without a repave. A repave whose ``system.uri`` did not change has an image that the node already holds: it may
well pull nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lab.palette.values import OsLayerValues


@dataclass(frozen=True)
class Reason:
    """Why nodes are replaced: a code (the vendor does not list codes; these are the lab's), a sentence, the keys."""

    code: str
    message: str
    keys: tuple[str, ...]


def repave_reasons(current: OsLayerValues, new: OsLayerValues) -> list[Reason]:
    """Compare what runs with what shall run; an empty list means that no node is replaced."""
    reasons = []
    if current.image != new.image:
        message = f"options.system.uri of the OS layer changes from '{current.image}' to '{new.image}'"
        reasons.append(Reason("ProviderImageChanged", message, ("options.system.uri",)))
    keys = _changed_credentials(current, new)
    if keys:
        message = f"{', '.join(keys)} of the OS layer changes"
        reasons.append(Reason("ProviderCredentialsChanged", message, keys))
    return reasons


def _changed_credentials(current: OsLayerValues, new: OsLayerValues) -> tuple[str, ...]:
    before = current.credential.as_order() if current.credential else {}
    after = new.credential.as_order() if new.credential else {}
    return tuple(f"providerCredentials.{key}" for key in after | before if before.get(key) != after.get(key))
