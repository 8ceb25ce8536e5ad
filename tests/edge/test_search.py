"""A search of a host finds what is there, or says that it is blind, whatever the host's own tools are."""

from __future__ import annotations

import gzip
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from edge.search import SEARCH, BlindSearchError
from tests.edge.ssh_server import SshServer


def use(server: SshServer, folder: Path, scripts: Mapping[str, str]) -> None:
    """Put programs before those of the host."""
    folder.mkdir(exist_ok=True)
    for name, script in scripts.items():
        (folder / name).unlink(missing_ok=True)
        (folder / name).write_text(f"#!/bin/sh\n{script}\n")
        (folder / name).chmod(0o700)
    server.behaviour.shell = ("/bin/sh", "-c", f'PATH={folder}:$PATH; eval "$0"')


def found_beside(server: SshServer, argument: str | bytes, words: str) -> tuple[set[str], int, str]:
    """Search while a process runs with an argument; return what was found, its number, and that of the planted one."""
    with subprocess.Popen(["sh", "-c", "kill -STOP $$", "x", argument]) as shown:
        try:
            found = {*server.host().feed(words, SEARCH).splitlines()}
        finally:
            shown.kill()
    return found, shown.pid, next(line for line in found if line.startswith("planted ")).split()[2]


def test_a_search_that_cannot_find_says_so(server: SshServer, tmp_path: Path) -> None:
    """A search whose tools do not work is blind, and not a proof that there is nothing to be found."""
    use(server, tmp_path / "tools", dict.fromkeys(("find", "grep", "journalctl"), "exit 1"))

    surfaces = ("files", "files of wide characters", "compressed files", "names", "processes", "units", "mounts")
    with pytest.raises(BlindSearchError, match=" and ".join((*surfaces, "the journal"))):
        server.host().shown(["s3cret"])
    assert not [*Path("/run").glob("conformance-*")]


def test_a_zero_byte_in_the_journal_hides_nothing(server: SshServer, tmp_path: Path) -> None:
    """One binary message makes no search of a journal blind for what stands around it."""
    tools = tmp_path / "tools"
    journal = f"printf 'a\\0b\\n'; cat {tools}/logger.log"
    use(server, tools, {"logger": "cat >> $0.log", "journalctl": journal, "find": "exit"})

    found = server.host().feed("-perm -004\ncanary\ns3cret\n", SEARCH).splitlines()

    assert "journal canary-journal" in found


def test_processes_are_searched_whose_arguments_a_grep_does_not_read(server: SshServer, tmp_path: Path) -> None:
    """The grep of busybox ends a line at a zero byte: later arguments, and backslashes, are found all the same."""
    blind = f'for each; do case $each in /proc/*) exit 1; esac; done\nexec {shutil.which("grep")} "$@"'
    use(server, tmp_path / "tools", {"grep": blind, "find": "", "journalctl": ""})

    found, shown, planted = found_beside(server, r"s3\tcr\\et", "-perm -0\ncanary\n" + r"s3\tcr\\et" + "\n")

    assert {f"process /proc/{number}/cmdline" for number in (planted, shown)} <= found
    assert f"environment /proc/{planted}/environ" in found


@pytest.mark.parametrize("tools", ["busybox", "coreutils"])
def test_other_tools_find_the_words_wherever_they_find_what_is_planted(
    tools: str, server: SshServer, tmp_path: Path
) -> None:
    """With busybox everything is found; with uutils, whose ``tr`` ends at odd bytes, nothing is missed in silence."""
    if not (program := shutil.which(tools)):
        pytest.skip(f"{tools} is not here")
    (there := tmp_path / "there").mkdir()
    (there / "text").write_text("x s3cret")
    (there / "wide").write_bytes("x s3cret".encode("utf-16"))
    (there / "packed.gz").write_bytes(gzip.compress(b"s3cret"))
    helped = subprocess.run([program], capture_output=True, text=True, check=False).stdout
    (places := tmp_path / "tools").mkdir()
    for name in helped.partition("functions:")[2].replace(",", " ").split():
        (places / name).symlink_to(program)
    find = f"{program} find" if tools == "busybox" else shutil.which("find")
    narrow = f'while [ "$1" != -xdev ]; do shift; done; exec {find} /run/canary* {there} "$@"'
    use(server, places, {"find": narrow, "journalctl": "", "logger": "cat > $0.log", "sh": 'exec /bin/sh "$@"'})

    found, shown, planted = found_beside(server, b"s3cret \xff", "-perm -004\ncanary\ns3cret\n")

    pairs = {
        f"file {there}/text": "file /run/canary", f"file {there}/wide": "file /run/canary-wide",
        f"file {there}/packed.gz": "file /run/canary-packed.gz",
        f"process /proc/{shown}/cmdline": f"process /proc/{planted}/cmdline",
    }  # fmt: skip
    assert [word for word, canary in pairs.items() if (word in found) is not (canary in found)] == []
    assert tools != "busybox" or {*pairs, *pairs.values()} <= found


def test_a_word_that_cannot_be_searched_for_is_refused(server: SshServer) -> None:
    """An empty word would be found everywhere, and one of several lines in parts."""
    for word in ("", "two\nlines"):
        with pytest.raises(ValueError, match="1 of 2 words"):
            server.host().shown(["right", word])
