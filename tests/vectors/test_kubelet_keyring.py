"""What Kubernetes' own code makes of the logins that the vectors hold is what docs/vectors.md says."""

from __future__ import annotations

import base64
import json
import re
import subprocess
from pathlib import Path

import pytest

from engine.children import environment
from fixtures.vectors.loading import load
from lab.kubernetes import programs

REGISTRY = "registry.example:5443"
DOCUMENT = Path(__file__).parents[2] / "docs" / "vectors.md"
FORMS = ("auth", "username and password")
#: A row of the table: the vector, then what becomes of it in each form.
_ROW = re.compile(r"^\| ((?:PW|UN)-\d+) \|[^|]*\| ([^|]+) \| ([^|]+) \|$", re.MULTILINE)
Login = tuple[bytes, bytes]


def logins() -> dict[str, Login]:
    """Return the login of each vector: a password with an ordinary user name, a user name with an ordinary password."""
    of_passwords = {each.id: (b"edge", each.value) for each in load("passwords", applicable=False)}
    return of_passwords | {each.id: (each.value, b"p-of-user") for each in load("usernames", applicable=False)}


def entry(login: Login, form: str) -> dict[str, str]:
    """Return what a pull secret has of a registry, in one of the forms that Kubernetes takes."""
    if form == "auth":
        return {"auth": base64.b64encode(b":".join(login)).decode()}
    username, password = (each.decode("utf-8", "surrogateescape") for each in login)
    return {"username": username, "password": password}


def read(form: str) -> dict[str, str]:
    """Return what kubelet's own code makes of every vector: ``arrives``, what arrives instead, or its error."""
    folder = programs.find((programs.KEYRING,))
    if folder is None:
        pytest.skip(programs.ABSENT)
    lines = []
    for name, login in logins().items():
        document = json.dumps({"auths": {REGISTRY: entry(login, form)}}, ensure_ascii=False)
        secret = base64.b64encode(document.encode("utf-8", "surrogateescape")).decode()
        lines.append(json.dumps({"id": name, "registry": REGISTRY, "secret": secret}))
    command = [str(folder / programs.KEYRING)]
    done = subprocess.run(
        command, input="\n".join(lines), check=True, capture_output=True, text=True, env=environment()
    )
    return {answer["id"]: told(answer) for answer in map(json.loads, done.stdout.splitlines())}


def told(answer: dict[str, str]) -> str:
    """Return what became of one login, in the words of the table."""
    if "error" in answer:
        return answer["error"]
    login = tuple(base64.b64decode(answer[key] or "") for key in ("username", "password"))
    if login == logins()[answer["id"]]:
        return "arrives"
    username, password = (each.decode().encode("unicode_escape").decode() for each in login)
    return f"arrives as `{username}` with `{password}`"


@pytest.mark.parametrize("form", FORMS)
def test_kubernetes_hands_every_other_login_over_as_it_is(form: str) -> None:
    """What the table has of a vector is what kubelet hands to the runtime; each vector without a row arrives."""
    rows = {found[0]: found[1 + FORMS.index(form)] for found in _ROW.findall(DOCUMENT.read_text())}

    assert read(form) == dict.fromkeys(logins(), "arrives") | rows
