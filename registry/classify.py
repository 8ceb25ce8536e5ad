"""Name what a pull presented: compare an ``Authorization`` header with the account that was configured.

Everything costly happens in :func:`prepare`, when the account is made: what each transform of the catalogue, and each
ordered pair of them, would make of the account's secrets. Classifying a pull is then a few dictionary look-ups. Values
stay in memory: no text of these objects shows one, and a :class:`Presented` holds none.
"""

from __future__ import annotations

import base64
import binascii
import re
import struct
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Literal, NoReturn

from registry.likeness import is_cut, likeness
from registry.transforms import SWAPPED, TRANSFORMS, Context, replace_invalid, transform, wire

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from registry.transforms import Transform

Kind = Literal["intact", "changed", "unknown-user", "anonymous", "other-scheme", "malformed"]

LONGEST_HEADER = 16 * 1024  # bytes; longer ones are rubbish: the longest password bcrypt takes needs about 150
LONGEST_FOR_TRANSFORMS = 8 * 1024  # bytes; beyond this, what no registry holds, only intact is told from changed
LONGEST_FOR_PAIRS = 256  # bytes; pairs of transforms are not prepared for a password beyond this
_OTHER_SCHEMES = frozenset(
    # https://www.iana.org/assignments/http-authschemes, and those of the great clouds. An unknown scheme is not
    # repeated: a client that sends its password without any scheme must not have it in the record.
    b"bearer concealed digest dpop gnap hoba mutual negotiate ntlm oauth privatetoken scram-sha-1 scram-sha-256 "
    b"vapid aws4-hmac-sha256 sharedkey".split()
)
_BASE64 = re.compile(rb"(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?")
_NAMES_SHOWN = 2
_MEANINGS_SHOWN = 3
#: How the name of a change begins that nothing explains; what can be seen of it follows.
UNKNOWN = "unknown change"
_ABOUT_PASSWORDS = frozenset({"user-name", "whole-pair", "auth-field", "previous", "other-registry"})
_FOR_USER_NAMES = tuple(known for known in TRANSFORMS if known.id not in _ABOUT_PASSWORDS)
_REPLACED = "invalid-replaced"


_PAIR = struct.Struct("=HH")  # a first change's number and a second one's


def _replaced(context: Context) -> bytes:
    """Only what a first change left behind can be invalid UTF-8, so this one cannot stand alone in the catalogue."""
    return replace_invalid(context.password)


@dataclass(frozen=True, slots=True, repr=False)
class Configured:
    """The account as the profile says it: what every pull should present.

    ``previous`` is the password before the last rotation and ``other`` the password of another registry; give them
    where there are any, so that they can be recognised. Text is sent as its UTF-8; ValueError where it has none.
    """

    username: str | bytes
    password: str | bytes
    previous: str | bytes | None = None
    other: str | bytes | None = None

    def __repr__(self) -> str:
        return "<Configured account>"


@dataclass(frozen=True, slots=True)
class Presented:
    """What one request presented, compared with the configured account, without any value in it.

    ``name`` is for people: 'intact', 'anonymous', 'base64-decoded', 'base64-decoded then trimmed', 'unknown change: …'.
    ``explanations`` are all equally short ways from the configured password to the presented one, each a transform's
    id or two of them joined by '+'; none for an intact or an unknown one. ``username_name`` is
    the user name's part of the name.
    ``consistent`` holds every single transform that this observation agrees with: see :func:`narrow`.
    """

    kind: Kind
    name: str
    password_name: str = ""
    explanations: tuple[str, ...] = ()
    username_name: str = ""
    consistent: frozenset[str] = field(default=frozenset(), repr=False)

    @property
    def intact(self) -> bool:
        """Return whether exactly the configured user name and password were presented."""
        return self.kind == "intact"


def prepare(configured: Configured) -> Prepared:
    """Work out, once per account, what every transform would make of it; ordered pairs once they are asked for.

    Raises ValueError for text without UTF-8.
    """
    username, password = wire(configured.username), wire(configured.password)
    return Prepared(
        username=_Table(Context(username, username=password), _FOR_USER_NAMES),
        password=_Table(Context(password, username, configured.previous, configured.other), TRANSFORMS),
    )


class _Table:
    """One configured value and everything that known software makes of it.

    ``silencing`` are the transforms that leave nothing to present: an empty value, or an error.
    """

    def __init__(self, context: Context, transforms: Sequence[Transform]) -> None:
        self.value = context.password
        self._singles: dict[bytes, list[str]] = {}
        silencing = set()
        for known in transforms if len(self.value) <= LONGEST_FOR_TRANSFORMS else ():
            made = known.apply(context)
            if made is not None:
                self._singles.setdefault(made, []).append(known.id)
            if not made:
                silencing.add(known.id)
        self.silencing = frozenset(silencing)
        self.unchanged = frozenset(self._singles.pop(self.value, ()))
        self._firsts = list(self._singles.values())
        self._seconds = (*(known.id for known in transforms), _REPLACED)
        self._context, self._rules = context, (*(known.apply for known in transforms), _replaced)

    @cached_property
    def _pairs(self) -> dict[bytes, bytearray]:
        """What every transform makes of every *distinct* result of a first one: equal results share the work.

        Few accounts are ever presented with a change of two steps, so this waits for one. Pairs are kept as numbers in
        bytes: thousands of small containers would have to be looked at by every full garbage collection.
        """
        pairs: dict[bytes, bytearray] = {}
        if len(self.value) > LONGEST_FOR_PAIRS:
            return pairs
        numbered, shorter = tuple(enumerate(self._rules)), {self.value, *self._singles}
        for index, middle in enumerate(self._singles):
            if len(middle) > LONGEST_FOR_TRANSFORMS:
                continue
            between = self._context.holding(middle)
            for number, apply in numbered:
                made = apply(between)
                if made is not None and made not in shorter:
                    pairs.setdefault(made, bytearray()).extend(_PAIR.pack(index, number))
        return pairs

    def explain(self, presented: bytes, *, pairs: bool = True) -> tuple[str, ...]:
        """Return all equally short explanations of a changed value; none where nothing explains it."""
        singles = self._singles.get(presented)
        if singles or not pairs:
            return tuple(singles or ())
        found = _PAIR.iter_unpack(self._pairs.get(presented, b""))
        return tuple(f"{first}+{self._seconds[number]}" for index, number in found for first in self._firsts[index])


class Prepared:
    """An account ready for comparison; made by :func:`prepare`. Its text shows no value, and it cannot be pickled."""

    __slots__ = ("_expected", "_password", "_silence", "_username")

    def __init__(self, username: _Table, password: _Table) -> None:
        self._username = username
        self._password = password
        self._silence = replace(ANONYMOUS, consistent=password.silencing)
        self._expected = b"Basic " + base64.b64encode(username.value + b":" + password.value)

    def __repr__(self) -> str:
        return "<Prepared account>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a prepared account holds secrets and cannot be pickled")

    def expects(self, header: bytes | None) -> bool:
        """Return whether a header is exactly this account's."""
        return header == self._expected

    def is_of(self, username: bytes) -> bool:
        """Return whether it is the account of exactly this user."""
        return username == self._username.value

    def classify(self, header: bytes | None, *, pairs: bool = True) -> Presented:
        """Return what an ``Authorization`` header presents (None: there was none).

        It takes well under a millisecond, but for the first change that no single transform explains: then ``pairs``
        of them are tried.
        """
        if header is None:
            return self._silence
        if header == self._expected:
            return self._intact()
        read = _read_basic(header)
        return read if isinstance(read, Presented) else self.compare(*read, pairs=pairs)

    def compare(self, username: bytes, password: bytes, *, pairs: bool = True) -> Presented:
        """Return how a user name and a password that were presented relate to the configured ones.

        A user name with a colon cannot be told from a shorter one with a longer password (RFC 7617 §2), so what
        counts as intact is the two as they travel: joined by a colon.
        """
        if username + b":" + password == self._username.value + b":" + self._password.value:
            return self._intact()
        user = _Part.of(self._username, username, pairs=pairs)
        secret = _Part.of(self._password, password, pairs=pairs)
        if all("+" in known for known in secret.explanations) and is_cut(self._password.value, password):
            seen = likeness(self._password.value, password)
            secret = _Part((), seen, intact=False)  # with "encoded then decoded", too, which says less
        swapped = user.swapped and secret.swapped
        user, secret = user.settled(swapped=swapped), secret.settled(swapped=swapped)
        return Presented(
            kind="unknown-user" if user.unknown else "changed",
            name=_name_of_both(user, secret, swapped=swapped),
            password_name=secret.name,
            explanations=secret.explanations,
            username_name=user.name,
            consistent=self._consistent(username, password, secret.explanations),
        )

    def _consistent(self, username: bytes, password: bytes, explanations: tuple[str, ...]) -> frozenset[str]:
        if not username and not password:  # how some pullers say that they have no credential
            return self._password.silencing
        return self._password.unchanged if password == self._password.value else frozenset(explanations)

    def _intact(self) -> Presented:
        return Presented("intact", "intact", "intact", username_name="intact", consistent=self._password.unchanged)


@dataclass(frozen=True, slots=True)
class _Part:
    """What became of one of the two values."""

    explanations: tuple[str, ...]
    likeness: str
    intact: bool

    @classmethod
    def of(cls, table: _Table, presented: bytes, *, pairs: bool) -> _Part:
        if presented == table.value:
            return cls((), "", intact=True)
        explanations = table.explain(presented, pairs=pairs)
        return cls(explanations, "" if explanations else likeness(table.value, presented), intact=False)

    @property
    def unknown(self) -> bool:
        return not self.intact and not self.explanations

    @property
    def swapped(self) -> bool:
        return SWAPPED in self.explanations

    @property
    def name(self) -> str:
        if self.intact:
            return "intact"
        return worded(self.explanations) if self.explanations else f"{UNKNOWN}: {self.likeness}"

    def settled(self, *, swapped: bool) -> _Part:
        """Both values swapped is one explanation; one alone cannot have been swapped."""
        if swapped:
            return _Part((SWAPPED,), "", intact=False)
        rest = tuple(name for name in self.explanations if SWAPPED not in name.split("+"))
        return _Part(rest or self.explanations, self.likeness, self.intact)


def _name_of_both(user: _Part, secret: _Part, *, swapped: bool) -> str:
    if swapped:
        return secret.name
    if user.unknown:
        return "unknown user" if secret.intact else f"unknown user, password {secret.name}"
    if user.intact:
        return secret.name
    if user.swapped:
        return "user name replaced by the password" + ("" if secret.intact else f", password {secret.name}")
    return f"user name {user.name}" if secret.intact else f"{secret.name}, user name {user.name}"


def worded(explanations: Sequence[str]) -> str:
    """Return explanations in words: 'trimmed or line end lost'; the rest is counted when there are many."""
    names = list(dict.fromkeys(" then ".join(_name(step) for step in known.split("+")) for known in explanations))
    shown = " or ".join(names[:_NAMES_SHOWN])
    return shown if len(names) <= _NAMES_SHOWN else f"{shown} or {len(names) - _NAMES_SHOWN} others"


def meaning(explanations: Sequence[str]) -> str:
    """Return what exactly happens by each explanation; none is preferred, and those not shown are counted."""
    told = [f"{known} ({' then '.join(map(_title, known.split('+')))})" for known in explanations[:_MEANINGS_SHOWN]]
    rest = len(explanations) - len(told)
    return "; or ".join([*told, *([f"{rest} other{'s' if rest > 1 else ''}"] if rest else [])])


def _title(step: str) -> str:
    return _name(step) if step == _REPLACED else transform(step).title.partition(" (variant")[0]


def _name(step: str) -> str:
    return "U+FFFD for what is not UTF-8" if step == _REPLACED else transform(step).name


ANONYMOUS = Presented("anonymous", "anonymous")


def _malformed(why: str) -> Presented:
    return Presented("malformed", f"malformed: {why}")


def _read_basic(header: bytes) -> tuple[bytes, bytes] | Presented:
    """Read Basic credentials as Go's ``net/http`` does, which is how the registry reads them (RFC 7617)."""
    if len(header) > LONGEST_HEADER:
        return _malformed(f"a header of {len(header)} bytes")
    scheme, _, credentials = header.partition(b" ")
    if scheme.lower() != b"basic":
        known = scheme.lower() in _OTHER_SCHEMES
        return (
            Presented("other-scheme", f"other scheme: {scheme.lower().decode()}")
            if known
            else _malformed("no known scheme")
        )
    return _read_pair(credentials)


def _read_pair(credentials: bytes) -> tuple[bytes, bytes] | Presented:
    if not _BASE64.fullmatch(credentials):
        unpadded = _BASE64.fullmatch(credentials + b"=" * (-len(credentials) % 4))
        return _malformed("base64 without its padding" if unpadded else "not base64")
    username, colon, password = binascii.a2b_base64(credentials).partition(b":")
    return (username, password) if colon else _malformed("no colon between user name and password")


#: So many accounts, the latest, are compared in full where a header names no user of any.
_FEW = 4


def closest(accounts: Iterable[Prepared], header: bytes | None) -> tuple[Prepared | None, Presented]:
    """Find the account that a header most likely meant, and say what it presents compared with that one.

    An intact one wins, then one whose user name is intact, then one whose password is; the first of equals. Without
    a header, or without accounts, there is no account; what its absence is consistent with can be said of a single one.
    """
    known = list(accounts)
    nearest = [account for account in known if account.expects(header)] or _of_the_user(known, header) or known
    if len(nearest) > _FEW:  # pairs of changes cost a tenth of a second for each account
        explained = [account for account in nearest if account.classify(header, pairs=False).kind == "changed"]
        nearest = (explained or nearest)[-_FEW:]
    compared = [(account, account.classify(header)) for account in nearest]
    if header is None:
        return None, compared[0][1] if len(compared) == 1 else ANONYMOUS
    if not compared:
        read = _read_basic(header)
        return None, read if isinstance(read, Presented) else Presented("unknown-user", "unknown user")
    best = min(compared, key=lambda each: _distance(each[1]))
    return (best[0] if best[1].kind in {"intact", "changed"} else None), best[1]


def _of_the_user(accounts: Sequence[Prepared], header: bytes | None) -> list[Prepared]:
    """Return the accounts of exactly the user that a header names: no other one is closer."""
    read = _read_basic(header) if header is not None else ANONYMOUS
    return [] if isinstance(read, Presented) else [account for account in accounts if account.is_of(read[0])]


def _distance(presented: Presented) -> tuple[int, int]:
    ranks: Mapping[str, int] = {"intact": 0, "": 4}
    user = ranks.get(presented.username_name, 3 if presented.kind == "unknown-user" else 2)
    secret = ranks.get(presented.password_name, 2 if presented.explanations else 4)
    return (min(user, secret + 1), secret)


def narrow(presented: Iterable[Presented], silent: Iterable[Presented] = ()) -> tuple[str, ...]:
    """Return the single transforms that agree with *all* observations of one path, changed and intact alike.

    Several pulls with different passwords say more than one: what a standard decoder and one that ignores errors make
    of ``Passw0rdPassw0rd`` is the same, what they make of ``Passw0rdPassw0rdX`` is not. Observations that say nothing
    about a password (anonymous, malformed …) are left out; no observation at all gives no transform.

    ``silent`` are pulls that stayed anonymous to their end. Many pullers do not send an empty password, so these too
    tell transforms apart; but a pull may be silent for other reasons, so alone they name nothing, and they are left
    out where they contradict what was presented.
    """
    seen = [each.consistent for each in presented if each.kind in {"intact", "changed", "unknown-user"}]
    common = frozenset.intersection(*seen) if seen else frozenset()
    common = common.intersection(*(each.consistent for each in silent if each.consistent)) or common
    return tuple(known.id for known in TRANSFORMS if known.id in common)
