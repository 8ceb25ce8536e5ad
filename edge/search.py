"""A search of a host for words that nobody but root may read there, which proves that it can find.

A search that could not search has found nothing out: a ``find`` without an option, a full ``/tmp``, a journal that
keeps nothing all end in silence. So a random word of the same kind is planted as a file, as a process and in the
journal, and the same commands have to find it.
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edge.host import EdgeHost

PLACES = (
    "/oem /etc /run /tmp /root /home /opt /persistent /var/log /var/tmp /var/lib/kubelet /var/lib/rancher "
    "/var/lib/spectro /usr/local"
)
#: Seconds for a search: a journal of some gigabytes takes a minute.
WITHIN = 900.0
_PLANTED = 3  # words of the line that names what is planted
#: Canary and words are read from standard input and kept in the environment: no argument and no file shows them. Each
#: place has a canary of its own, for a system log may repeat the journal. Options are POSIX', for the sake of busybox.
SEARCH = f"""\
IFS= read -r canary; wanted=$(cat); export canary wanted
for folder in /run /tmp /var/tmp; do
    file=$folder/$canary; (umask 022; printf '%s\n' "$canary-file" > "$file") && break
done
/bin/sh -c 'kill -STOP $$' "$canary-process" < /dev/null > /dev/null & process=$!
echo "planted $file $process"
printf '%s\n' "$canary-journal" | logger -t conformance || printf '%s\n' "$canary-journal" | systemd-cat -t conformance
journalctl --sync
for place in {PLACES}; do [ -d "$place" ] && set -- "$@" "$place"; done
find "$@" -xdev -type f -perm -004 -size -4096 -exec \
    /bin/sh -c 'printf "%s\n" "$wanted" "$canary-file" | grep -lF -f - -- "$@" | sed "s/^/file /"' sh {{}} +
printf '%s\n' "$wanted" "$canary-process" | grep -lF -f - /proc/[0-9]*/cmdline | sed 's/^/process /'
printf '%s\n' "$wanted" "$canary-journal" | {{
    exec 3<&0
    journalctl --no-pager --quiet --all --output=short-iso | grep -oF -f /dev/fd/3 | sort -u | sed 's/^/journal /'
}}
kill -KILL "$process"; rm -f "$file"; true
"""


class BlindSearchError(Exception):
    """A search of a host did not find what was planted for it: that it found nothing else means nothing."""


def search(host: EdgeHost, words: Sequence[str]) -> list[str]:
    """Return where on the host everybody can read one of ``words``.

    Raises:
        HostUnreachable: the host does not answer.
        BlindSearchError: the planted words were not all found.
        ValueError: a word cannot be searched for.

    """
    if bad := [word for word in words if not word or set(word) & set("\n\r\0")]:
        raise ValueError(f"{len(bad)} of {len(words)} words cannot be searched for: empty, or of several lines")
    if not words:
        return []
    canary = f"conformance-{secrets.token_hex(8)}"
    found = host.feed("\n".join([canary, *words, ""]), SEARCH, within=WITHIN).splitlines()
    lines = (line.split() for line in found if line.startswith("planted "))
    _, file, process = next((words for words in lines if len(words) == _PLANTED), ["planted", "?", "?"])
    expected = {
        "files": f"file {file}",
        "processes": f"process /proc/{process}/cmdline",
        "the journal": f"journal {canary}-journal",
    }
    if blind := [what for what, line in expected.items() if line not in found]:
        raise BlindSearchError(
            f"host {host.uid}: the search of {' and '.join(blind)} does not find what was planted there; "
            "find, grep, /proc, journald's storage and room in /run are what it needs"
        )
    return sorted({_told(line) for line in found if line not in expected.values() and not line.startswith("planted ")})


def _told(line: str) -> str:
    kind, _, what = line.partition(" ")
    if kind == "file":
        return what
    return (
        f"the arguments of process {what.removeprefix('/proc/').partition('/')[0]}"
        if kind == "process"
        else "the journal"
    )
