"""Faults made at random: an injection point, a wrong value that it could give, sometimes where or for what it is given.

Each is the text of a fault file, so that one that survives can be kept, read and run again.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

from lab import injection
from lab.faults.credentials import ELSEWHERE, INVISIBLE
from registry.transforms import TRANSFORMS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lab.injection import Point

FAMILY = "random"
_FILE = '''\
"""{name}: made at random."""

from dataclasses import replace

from lab.faults import fault
from lab.faults.replacing import afterwards, always, beforehand, changed_by, nothing, the_first, user_name, when
from lab.injection import {point}

FAULT = fault(
    "{name}", at={point}, catches=[], because={because!r},
    replace=when(lambda at, value: {condition}, {wrong}),
)
'''
_CHANGES = tuple(
    f'changed_by("{rule.id}")' for rule in TRANSFORMS if rule.id not in INVISIBLE | ELSEWHERE
)  # fmt: skip
_LOGIN = (
    "always(None)", "user_name(str.upper)", "user_name(lambda name: name[:-1])",
    "afterwards(lambda it: it and replace(it, password=it.password[:-1]))",
    "afterwards(lambda it: it and replace(it, password=it.password + it.password[-1:]))",
    'afterwards(lambda it: it and replace(it, registry="registry.example"))',
)  # fmt: skip
_EITHER = ("always(value=True)", "always(value=False)")


def _without(key: str) -> str:
    return f"afterwards(lambda it: {{k: v for k, v in it.items() if k != {key!r}}} if isinstance(it, dict) else it)"


def _in_order(change: str) -> str:
    return f'afterwards(lambda it: it and {{**it, "cluster": (c := it.get("cluster")) and {{**c, {change}}}}})'


#: What each injection point could give wrongly, as source.
WRONG: dict[str, tuple[str, ...]] = {
    "DEPLOY_CREDENTIAL": (*_LOGIN, *_CHANGES), "UPGRADE_CREDENTIAL": (*_LOGIN, *_CHANGES),
    "CARRY_CREDENTIAL": (*_LOGIN, *_CHANGES),
    "HEED_ORDER": ("always(value=False)",), "REMEMBER": ("always({})",),
    "CHOOSE_SOURCE": ("afterwards(lambda it: (it[0], None))", 'afterwards(lambda it: (it[0] + "0", it[1]))'),
    "KEEP_AUTHORITY": _EITHER, "VERIFY_DEPLOY_TLS": _EITHER, "VERIFY_UPGRADE_TLS": _EITHER,
    "DEPLOY_AUTHORITY": ("always(None)",), "UPGRADE_AUTHORITY": ("always(None)",),
    # the fourth file, a log without a login, may stay: no page says that it goes
    "FORGET_CLUSTER": tuple(f"afterwards(lambda it: it[:{n}] + it[{n + 1}:])" for n in range(3)),
    # to pull what the node has, or to keep images, is no fault: no page has a pull policy, or says that images go
    "REPLACE_SYSTEM": _EITHER, "PULL_POLICY": ("always(value=False)",),
    # which digest was installed is the lab's own record: no page says where a host tells it
    "INSTALL_SYSTEM": ("afterwards(lambda it: replace(it, layers=it.layers[:-1]))",),
    "BACK_OFF": ("always(0.05)", "always(60.0)"),
    "LOG": ("lambda healthy, message, order: str(order)",),
    "REPORT": ("always(None)", _without("generation"), 'afterwards(lambda it: {**it, "message": ""})'),
    "UPGRADE_IMAGE": ('afterwards(lambda it: it.rpartition(":")[0] + ":latest")', 'afterwards(lambda it: it + "0")'),
    "SCOPE_LOGIN": ("always(None)", "lambda _healthy, _image, credential, _authority: credential"),
    "CHECK_VERSION": ("nothing",), "PUBLISH": ("nothing",),
    "READ_OS_LAYER": ("afterwards(lambda it: replace(it, credential=None))",
                      'afterwards(lambda it: replace(it, image=it.image + "0"))'),
    "RESOLVE_MACRO": ("always(None)", "afterwards(lambda it: it and it.upper())",
                      "afterwards(lambda it: it and it[:-1])", 'afterwards(lambda it: it and it + " ")'),
    "RENDER_VALUES": ('afterwards(lambda it: it.replace("password", "passwd"))', "afterwards(str.lower)"),
    "APPLY_VERSION": ("lambda _healthy, current, new: current or new",),
    "DECIDE_REPAVE": ("always([])", "afterwards(lambda it: it[:-1])"), "REQUIRE_APPROVAL": _EITHER,
    "APPROVE": ("afterwards(lambda it: replace(it, reasons=()))",),
    "ORDER_NODES": ("afterwards(lambda it: it[::-1])",),
    "TAKE_TURNS": ("lambda _healthy, nodes: list(nodes)", "always([])"),
    # a host that waits is given the generation that it runs, so it has nothing to do if it is told that it need not
    "DELIVER_ORDER": (_in_order('"credential": None'), _in_order('"repave": not c["repave"]'),
                      _in_order('"turn": False'), _in_order('"image": c["image"] + "0"')),
    "LIVENESS": _EITHER, "REPORT_HEALTH": ('always("Healthy")', 'always("UnHealthy")'),
    "REPORT_STATE": ('always("Running")', 'always("Provisioning")', 'always("Deleted")'),
    "EMIT_EVENT": ("always(None)", *(f'afterwards(lambda it: it and replace(it, {field}=""))' for field in
                   ("severity", "reason", "message", "kind", "object_uid", "component"))),
    "MASK_ANSWER": ("the_first",),
    "ANSWER": tuple(map(_without, ("metadata", "spec", "status", "items", "uid"))),
}  # fmt: skip
#: With hosts that are never alive no run begins: that is told as an outage of the site.
_UNSEEN = {("LIVENESS", "True", "always(value=False)")}
_ON_HOSTS = (
    'at.phase == "deploy"', 'at.phase == "repave"', 'at.node.endswith("1")', 'at.node.endswith("2")',
    'at.role == "worker"', "at.repave > 1", "at.repave > 2", "at.attempt > 1", "at.attempt == 1",
)  # fmt: skip
_IN_PALETTE = ('at.phase == "deploy"', 'at.phase == "repave"', "len(at.nodes) > 1", "at.generation > 1")
_OF_LOGINS = (
    "value and value.password.isalnum()", "value and not value.password.isalnum()",
    "value and len(value.password) > 16",
    "value and len(value.password) <= 16", 'value and "$" in value.password', "value and value.password.isascii()",
)  # fmt: skip


def _conditions(point: Point) -> tuple[str, ...]:
    """Return what may be known there; where something is done, it is done wrongly always."""
    if point.effect:
        return ()
    where: tuple[str, ...] = _IN_PALETTE if point.component == "palette" else _ON_HOSTS
    if point is injection.CARRY_CREDENTIAL:  # what a deployment stores nobody reads: a repave writes the Secret anew
        where = tuple(condition for condition in where if condition != 'at.phase == "deploy"')
    return (*where, *_OF_LOGINS) if point.name.endswith("-credential") else where


def made(count: int, seed: int) -> Iterator[dict[str, Any]]:
    """Yield the specifications of so many faults, or all there are, no two alike; the same ones for the same seed."""
    chance, known = random.Random(seed), set(_UNSEEN)  # noqa: S311 - faults, no secrets
    possible = sum(len(WRONG[name]) * (1 + len(_conditions(getattr(injection, name)))) for name in WRONG)
    while len(known) < min(count + len(_UNSEEN), possible):
        name = chance.choice(list(WRONG))
        point: Point = getattr(injection, name)
        conditions = _conditions(point)
        condition = chance.choice(conditions) if conditions and chance.random() < 1 / 2 else "True"
        wrong = chance.choice(WRONG[name])
        if (name, condition, wrong) in known:
            continue
        known.add((name, condition, wrong))
        called = f"random-{seed}-{len(known) - len(_UNSEEN)}"
        because = f"{point.name}: {wrong} where {condition}"
        source = _FILE.format(name=called, point=name, because=because, condition=condition, wrong=wrong)
        yield {"name": called, "source": source, "path": f"{called}.py"}
