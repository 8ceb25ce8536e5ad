"""What a pull presented, named: intact, one change, two changes, or nothing that is known."""

from __future__ import annotations

import base64
import gc
import pickle
import random

import pytest

from registry import classify
from registry.classify import Configured, Prepared, Presented, closest, narrow, prepare
from registry.likeness import likeness
from registry.transforms import TRANSFORMS, Context, transform, wire
from tests.registry_transforms.pool import POOL, hostile, members
from tests.registry_transforms.samples import SAMPLES

ALPHANUMERIC = "Passw0rdPassw0rd"
CANARY = "Canary-7f3a-Passw0rd"


TELLING = (
    ALPHANUMERIC,
    ALPHANUMERIC + "X",
    ALPHANUMERIC + "Xy",
    "Pass+w0rd/Passw0",
    "Passw0rdPassw0==",
    "Passw0rd!Passw0rd",
    "Pa!sw#rd*",
)


def basic(username: str | bytes, password: str | bytes) -> bytes:
    """Write a header as a client does."""
    return b"Basic " + base64.b64encode(wire(username) + b":" + wire(password))


def account(password: str | bytes = ALPHANUMERIC, username: str = "user") -> Prepared:
    """Prepare an account in which everything that a substitution needs is there."""
    return prepare(Configured(username, password, previous="old", other="other"))


@pytest.fixture(scope="module")
def prepared() -> Prepared:
    """Return the account user / Passw0rdPassw0rd."""
    return account()


def test_the_configured_credential_is_intact(prepared: Prepared) -> None:
    """Exactly the configured user name and password are called intact, however the scheme is spelled."""
    header = basic("user", ALPHANUMERIC)

    assert prepared.classify(header) == prepared.classify(b"bAsIc" + header[5:])
    assert (prepared.classify(header).kind, prepared.classify(header).name) == ("intact", "intact")


def test_a_missing_header_is_anonymous(prepared: Prepared) -> None:
    """A request without an Authorization header is called anonymous, an empty header is not."""
    assert prepared.classify(None).name == "anonymous"
    assert prepared.classify(b"").kind == "malformed"


def test_both_seeded_faults_are_named() -> None:
    """A decoded password is called base64-decoded, whichever of the two known decoders did it."""
    strict = account().classify(basic("user", base64.b64decode(ALPHANUMERIC)))
    ignoring = account(ALPHANUMERIC + "X").classify(basic("user", base64.b64decode(ALPHANUMERIC)))

    assert strict.name == ignoring.name == "base64-decoded"
    assert {"base64-standard", "base64-alphanumeric-prefix"} <= set(strict.explanations)
    assert "base64-standard" not in ignoring.explanations
    assert "base64-alphanumeric-prefix" in ignoring.explanations


def test_several_observations_narrow_the_explanation() -> None:
    """Pulls with different passwords together tell decoders apart that one pull cannot."""
    strict = transform("base64-standard")
    gated = transform("base64-alphanumeric-prefix")

    def seen(by: object) -> tuple[str, ...]:
        observed = []
        for password in TELLING:
            made = (strict if by is strict else gated).apply(Context(password))
            observed.append(account(password).classify(basic("user", made or b"")))
        return narrow(observed)

    assert seen(strict) == ("base64-standard",)
    assert seen(gated) == ("base64-alphanumeric-prefix",)


def test_narrowing_nothing_gives_nothing() -> None:
    """Without an observation that carries a password no transform is claimed."""
    assert narrow([]) == narrow([classify.ANONYMOUS]) == ()


def test_silence_narrows_and_never_names() -> None:
    """A pull that stays anonymous leaves what agrees with it too; alone, or against what was presented, it is nothing.

    A standard decoder makes an empty password of a line end, which containerd does not send; a decoder that checks
    whether encoding gives the value back leaves the line end alone.
    """
    decoded = account("Passw0rdYWI=").classify(basic("user", base64.b64decode("Passw0rdYWI=")))
    silent = account("\n").classify(None)

    assert {"base64-standard", "base64-if-canonical"} <= set(narrow([decoded]))
    assert "base64-standard" in narrow([decoded], [silent])
    assert "base64-if-canonical" not in narrow([decoded], [silent])
    assert narrow([], [silent]) == ()
    shouted = account("password").classify(basic("user", "PASSWORD"))
    assert narrow([shouted], [silent]) == narrow([shouted]) != ()
    assert narrow([decoded], [classify.ANONYMOUS]) == narrow([decoded])


def test_an_empty_login_counts_as_silence() -> None:
    """User name and password both empty is how some pullers say that they have no login, not a user name changed."""
    ready = account("\n")

    assert ready.classify(basic("", "")).consistent == ready.classify(None).consistent


@pytest.mark.parametrize(("name", "password", "presented"), SAMPLES, ids=[sample[0] for sample in SAMPLES])
def test_every_transform_is_named(name: str, password: str, presented: bytes | None) -> None:
    """The transform that made a presented password is among the equally short explanations, and its words are said."""
    if presented is None:
        pytest.skip("this software presents nothing")
    found = account(password).classify(basic("user", presented))

    assert found.kind == "changed"
    if name != "swapped":  # its user name would have changed too
        assert name in found.explanations
        assert all("+" not in explanation for explanation in found.explanations)


@pytest.mark.parametrize(
    ("first", "second", "name"),
    [
        ("base64-standard", "trimmed", "base64-decoded then trimmed"),
        ("newline-added", "base64-encoded", "newline added then base64-encoded"),
        ("percent-encoded", "percent-encoded", "percent-encoded then percent-encoded"),
        ("base64-alphanumeric-prefix", "hex-encoded", None),
    ],
)
def test_two_changes_are_named_in_order(first: str, second: str, name: str | None) -> None:
    """A change of a change is explained by the two transforms in the order in which they happened."""
    password = {"trimmed": "IGJsYW5r", "percent-encoded": "a b%"}.get(second, "Passw0rdX")
    middle = Context(transform(first).apply(Context(password)) or b"")
    found = account(password).classify(basic("user", transform(second).apply(middle) or b""))

    assert f"{first}+{second}" in found.explanations
    assert name is None or name in found.name


def test_bytes_that_json_replaced_are_recognised() -> None:
    """A decoded password whose bytes were replaced by U+FFFD afterwards is explained as those two steps."""
    decoded = transform("base64-alphanumeric-prefix").apply(Context("Passw0rdX"))
    assert decoded is not None
    replaced = decoded.decode("utf-8", "replace")

    assert "invalid-replaced" in account("Passw0rdX").classify(basic("user", replaced)).explanations[0]


def test_an_unknown_change_is_described_without_the_value(prepared: Prepared) -> None:
    """A value that nothing explains is described by lengths and common ends."""
    found = prepared.classify(basic("user", "Passw0rd-and-something-else-rd"))

    assert (found.kind, found.explanations) == ("changed", ())
    assert found.name == "unknown change: 30 bytes for 16, the first 8 and the last 2 as configured"


def test_a_changed_user_name_is_named(prepared: Prepared) -> None:
    """A user name is explained like a password, and an intact password beside it stays intact."""
    found = prepared.classify(basic("USER", ALPHANUMERIC))

    assert (found.kind, found.name) == ("changed", "user name upper-cased")
    assert (found.username_name, found.password_name) == ("upper-cased", "intact")


def test_swapped_values_are_named_once(prepared: Prepared) -> None:
    """User name and password in each other's place is one explanation, not two."""
    found = prepared.classify(basic(ALPHANUMERIC, "user"))

    assert found.name == "user name and password swapped"
    assert found.explanations == ("swapped",)


def test_one_replaced_value_is_not_a_swap(prepared: Prepared) -> None:
    """A user name in place of the password alone is not called a swap, nor is the password in place of the name."""
    assert prepared.classify(basic("user", "user")).explanations == ("user-name",)
    assert prepared.classify(basic(ALPHANUMERIC, ALPHANUMERIC)).name == "user name replaced by the password"


def test_another_user_is_unknown(prepared: Prepared) -> None:
    """A user name that nothing explains is an unknown user, and its password is still compared."""
    found = prepared.classify(basic("root!", ALPHANUMERIC))

    assert (found.kind, found.name, found.password_name) == ("unknown-user", "unknown user", "intact")


@pytest.mark.parametrize(
    ("header", "kind", "name"),
    [
        (b"Bearer abc", "other-scheme", "other scheme: bearer"),
        (b"Negotiate abc", "other-scheme", "other scheme: negotiate"),
        (b"Hocuspocus abc", "malformed", "malformed: no known scheme"),
        (CANARY.encode(), "malformed", "malformed: no known scheme"),
        (b"Basic", "malformed", "malformed: no colon between user name and password"),
        (b"Basic  dTpw", "malformed", "malformed: not base64"),
        (b"Basic dTpwcA", "malformed", "malformed: base64 without its padding"),
        (b"Basic dXA=", "malformed", "malformed: no colon between user name and password"),
        (b"Basic user:password", "malformed", "malformed: not base64"),
        (b"Basic \xff\xfe", "malformed", "malformed: not base64"),
        (b"Basic " + b"QUFB" * 16384, "malformed", "malformed: a header of 65542 bytes"),
        (b"\x16\x03\x01\x02", "malformed", "malformed: no known scheme"),
    ],
)
def test_rubbish_is_malformed(prepared: Prepared, header: bytes, kind: str, name: str) -> None:
    """What is not Basic is either a scheme that is known by name, or malformed; nothing of it is repeated."""
    found = prepared.classify(header)

    assert (found.kind, found.name) == (kind, name)
    assert CANARY not in repr(found)


def test_a_colon_in_the_password_belongs_to_the_password() -> None:
    """The first colon separates; later ones are part of the password."""
    assert account("a:b").classify(basic("user", "a:b")).intact
    assert account("a:b").classify(basic("user", "a")).explanations == ("cut-at-colon",)


def test_a_colon_in_the_user_name_travels_unchanged() -> None:
    """A user name with a colon, which Basic cannot separate, is intact when the two arrive as they were written."""
    assert account("b", username="a:x").classify(basic("a:x", "b")).intact


def test_equally_good_explanations_are_all_said() -> None:
    """Where different changes give the same bytes, all of them are listed and the name says 'or'."""
    found = account("a b").classify(basic("user", "a"))

    assert found.name == "cut at blank"
    assert account("null ").classify(basic("user", "null")).name.count(" or ") >= 1


def test_ten_thousand_passwords_are_never_misjudged(monkeypatch: pytest.MonkeyPatch) -> None:
    """Over ten thousand generated passwords, intact is said of the unchanged one always and of a changed one never."""
    monkeypatch.setattr(classify, "LONGEST_FOR_PAIRS", -1)  # pairs only ever explain what is already not intact
    dice = random.Random(20261122)  # noqa: S311 - test data
    passwords = {*hostile(8400, seed=7), *members(4200, seed=7)}

    assert len(passwords) >= 10_000
    for password in passwords:
        ready = prepare(Configured("user", password, "old", "other"))
        known = dice.choice(TRANSFORMS)
        made = known.apply(Context(password, "user", "old", "other"))
        assert ready.classify(basic("user", password)).kind == "intact", ascii(password)
        if made is not None:
            found = ready.classify(basic("user", made))
            assert (found.kind == "intact") == (made == wire(password)), (known.id, ascii(password))


def test_pairs_never_shadow_shorter_explanations() -> None:
    """With pairs prepared, a single change keeps its single explanations, and the unchanged password stays intact."""
    for password in POOL[::60]:
        ready = account(password)
        context = Context(password, "user", "old", "other")
        assert ready.classify(basic("user", password)).intact
        for known in TRANSFORMS:
            made = known.apply(context)
            if made is not None and made != context.password and known.id != "swapped":
                assert known.id in ready.classify(basic("user", made)).explanations, (known.id, ascii(password))


def test_an_account_leaves_the_collector_little_to_do() -> None:
    """What is prepared for an account is no load for full garbage collections, for which some pull would wait."""
    account()
    gc.collect()
    before = len(gc.get_objects())
    kept = [account(f"Passw0rd!{number}") for number in range(3)]
    gc.collect()

    assert (len(gc.get_objects()) - before) / len(kept) < 1000


def test_any_header_is_classified() -> None:
    """No header, however broken, raises an exception."""
    ready = account()
    dice = random.Random(3)  # noqa: S311 - test data
    for _ in range(2000):
        rubbish = dice.randbytes(dice.randrange(40))
        for header in (rubbish, b"Basic " + rubbish, b"Basic " + base64.b64encode(rubbish)):
            assert isinstance(ready.classify(header), Presented)


def test_the_account_that_was_meant_is_found() -> None:
    """Among several accounts, the one whose credential arrived is chosen, then by its user name, then its password."""
    first, second = account("one", username="alice"), account("two", username="bob")

    assert closest([first, second], basic("bob", "two"))[0] is second
    assert closest([first, second], basic("bob", "dHdv")) == (second, second.classify(basic("bob", "dHdv")))
    assert closest([first, second], basic("mallory", "x"))[0] is None
    assert closest([first, second], basic("ALICE", "two"))[1].password_name == "intact"
    assert closest([first, second], None) == (None, classify.ANONYMOUS)
    assert closest([], basic("bob", "two"))[1].kind == "unknown-user"


@pytest.mark.parametrize(("presented", "told"), [("|ab!cdefg", "the first 9 of 11"), ("b!cdefghi", "the last 9 of 11")])
def test_a_cut_password_is_told_as_that(presented: str, told: str) -> None:
    """What two changes would make of it, such as to encode and to decode it, reads like nothing had happened."""
    assert account("|ab!cdefghi").classify(basic("user", presented)).name == f"unknown change: {told} bytes"


def test_an_unknown_account_is_not_compared_in_full_with_every_account() -> None:
    """A walk has a hundred accounts, and pairs of changes take a tenth of a second for each: the latest have to do."""
    accounts = [account(f"S3cret!{number}", username=f"user-{number}") for number in range(40)]
    presented = closest(accounts, basic("somebody-else", "Qw9zzzz!"))[1]

    assert presented.kind == "unknown-user"
    assert sum("_pairs" in vars(known._password) for known in accounts) <= 4
    assert closest(accounts, basic("USER-7", "S3cret!7"))[0] is accounts[7]


def test_no_text_of_these_objects_shows_a_value() -> None:
    """Neither repr, str, records nor refusals contain the password or what was presented."""
    configured = Configured(CANARY + "-user", CANARY, previous=CANARY, other=CANARY)
    ready = prepare(configured)
    shown = [repr(configured), str(configured), repr(ready), str(ready)]
    for password in (CANARY, CANARY + "x", CANARY.upper(), "unknown" + CANARY, base64.b64encode(CANARY.encode())):
        for username in (CANARY + "-user", "other" + CANARY):
            found = ready.classify(basic(username, password))
            shown += [repr(found), str(found)]

    assert CANARY.casefold() not in "".join(shown).casefold()


def test_a_prepared_account_cannot_be_pickled(prepared: Prepared) -> None:
    """A prepared account does not travel between processes by accident."""
    with pytest.raises(TypeError, match="cannot be pickled"):
        pickle.dumps(prepared)


def test_a_password_without_utf8_is_refused() -> None:
    """An account whose password cannot be sent is refused when it is prepared, without the password in the message."""
    with pytest.raises(ValueError, match="lone surrogate") as refused:
        prepare(Configured("user", CANARY + "\udc80"))

    assert CANARY not in str(refused.value)


def test_a_very_long_password_is_prepared_without_pairs() -> None:
    """A password far beyond what bcrypt takes is still classified, by single transforms."""
    found = account("x" * 5000).classify(basic("user", "x" * 72))

    assert found.explanations == ("first-72",)


@pytest.mark.parametrize(
    ("presented", "seen"),
    [
        ("Pa55!word#1-long", "the first 16 of 24 bytes"),
        ("g#1-longer-than", "15 bytes for 24, the first 0 and the last 0 as configured"),
        ("Pa55!word#1_longerthan_3", "the same length, 2 of 24 bytes differ"),
        ("Pa55word1longerthan3", "4 of 24 bytes lost: punctuation"),
        ("PA55!WORD#1-LONGERTHAN-3", "the same length, upper and lower case differ"),
        ("Pa55!word#1-longerthan-3  ", "all 24 bytes and 2 more: blanks"),
        ("longerthan-3", "the last 12 of 24 bytes"),
    ],
)
def test_what_can_be_seen_of_an_unknown_change_is_said(presented: str, seen: str) -> None:
    """Without knowing any software: a beginning, an end, what was lost or added, the same length."""
    assert likeness(b"Pa55!word#1-longerthan-3", presented.encode()) == seen
