"""A search of a host for words that nobody but root may read there, or that nobody keeps there any more.

A search that could not search has found nothing out: a ``find`` without an option, a full ``/tmp``, a journal that
keeps nothing all end in silence. So each surface is planted with a random word of its own, and the same commands have
to find it.
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edge.host import EdgeHost

#: Everything but programs, the kernel's own and the content of images; mounts below are found among the host's mounts.
PLACES = "/oem /etc /run /tmp /root /home /opt /srv /mnt /persistent /var /usr/local /dev/shm"
IMAGES = "-name 'io.containerd.snapshotter*' -o -name 'io.containerd.content*' -o -name overlay2"
#: Seconds for a search: a journal of some gigabytes takes a minute.
WITHIN = 900.0
_PLANTED = 3  # words of the line that names what is planted
#: What can be read by whom: files by their modes, the arguments of processes, units and mounts by everybody.
PUBLIC, EVERYTHING = "-perm -004", "-perm -0"
#: Modes, canary and words are read from standard input; no argument and no file shows a word. Each surface has a canary
#: of its own, for one may repeat another. Environments come first: from then on our own has the words. Options are
#: POSIX', for the sake of busybox. A zero byte in a text makes it binary for grep, which then prints no match, and ends
#: the line for that of busybox. The ``tr`` of uutils stopped at a byte that is no UTF-8: so canaries have one.
SEARCH = f"""\
IFS= read -r modes; IFS= read -r canary; wanted=$(cat)
mask=077
case $modes in *004)
    mask=022 closed='-type d ! -perm -001 -prune -o' unlisted='-type d ! -perm -005 -prune -print -o'
esac
for folder in /run /tmp /var/tmp; do
    file=$folder/$canary; umask $mask; printf '%s\n' "$canary-file" > "$file" && break
done
odd=$(printf '\\377')
CANARY=$odd$canary-environment /bin/sh -c 'kill -STOP $$' "$odd$canary-process" < /dev/null > /dev/null & process=$!
mkdir "$file-name" && mount -t tmpfs "$canary-mount" "$file-name" 2> /dev/null
printf '%s\\376%s\\000%s\n' "$odd" "$canary" -wide > "$file-wide"
printf '%s\n' "$canary-packed" | gzip > "$file-packed.gz"
systemd-run --quiet --unit="$canary" --setenv="CANARY=$canary-unit" sleep 900 2> /dev/null
echo "planted $file $process"
of_processes() {{
    for each in /proc/[0-9]*/$1; do
        printf '%s %s\n' "$each" "$(tr '\\000\n' '  ' < "$each")"
    done 2> /dev/null | {{
        exec 4<&0; printf '%s\n' "$wanted" "$canary-$2" | {{ exec 3<&0; grep -aF -f /dev/fd/3 <&4; }}
    }} | sed "s/ .*//; s/^/$2 /"
}}
[ $mask = 022 ] || of_processes environ environment
export canary wanted
printf '%s\n' "$canary-journal" | logger -t conformance || printf '%s\n' "$canary-journal" | systemd-cat -t conformance
journalctl --sync
for place in {PLACES} $(awk '$3 !~ /overlay|proc|sysfs|cgroup/ {{ print $2 }}' /proc/mounts); do
    [ -d "$place" ] || continue
    case $place in /run/?*|*/io.containerd.*|*/overlay2/*) continue;; esac
    case " $* " in *" $place "*) continue;; esac
    for above in {PLACES}; do case $place in $above|"$above"/*) set -- "$@" "$place"; break;; esac; done
done
find "$@" -xdev '(' {IMAGES} ')' -prune -o $closed -type f $modes -size -4096 -exec /bin/sh -c '
    has() {{ exec 4<&0; printf "%s\n" "$wanted" "$canary-$1" | {{ exec 3<&0; grep -qF -f /dev/fd/3 <&4; }}; }}
    printf "%s\n" "$wanted" "$canary-file" | grep -lF -f - -- "$@" | sed "s/^/file /"
    printf "a\\000" | grep -qI a 2> /dev/null
    if [ $? = 1 ]; then LC_ALL=C grep -LI . -- "$@"; else printf "%s\n" "$@"; fi |
        while IFS= read -r file; do tr -d "\\000" < "$file" | has wide && echo "file $file"; done
    for file; do
        case $file in *.gz|*.tgz) read=gzip;; *.bz2) read=bzip2;; *.xz) read=xz;; *.zst) read=zstd;; *) continue;; esac
        $read -dc < "$file" 2> /dev/null | head -c 99999999 | has packed && echo "file $file"
    done' sh {{}} +
of_processes cmdline process
among() {{
    exec 4<&0
    printf '%s\n' "$wanted" "$canary-$1" | {{
        exec 3<&0; tr '\\000' '\\n' <&4 | grep -oF -f /dev/fd/3 | sort -u | sed "s/^/$1 /"
    }}
}}
find "$@" -xdev '(' {IMAGES} ')' -prune -o $unlisted -print | among name
{{ systemctl show '*' --all --no-pager; systemctl show --all --no-pager; }} | among unit
sed 's/\\\\040/ /g; s/\\\\011/\t/g; s/\\\\134/\\\\/g' /proc/mounts | among mount
journalctl --no-pager --quiet --all --output=export | among journal
[ ! -r /dev/kmsg ] || dmesg 2> /dev/null | among kernel
systemctl stop "$canary" 2> /dev/null; umount "$file-name" 2> /dev/null; rmdir "$file-name"
kill -KILL "$process"; rm -f "$file" "$file-wide" "$file-packed.gz"; true
"""


class BlindSearchError(Exception):
    """A search of a host did not find what was planted for it: that it found nothing else means nothing."""


def search(host: EdgeHost, words: Sequence[str], modes: str = PUBLIC) -> list[str]:
    """Return where on the host one of ``words`` can be read: by everybody, or by root with ``EVERYTHING``.

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
    found = host.feed("\n".join([modes, canary, *words, ""]), SEARCH, within=WITHIN).splitlines()
    lines = (line.split() for line in found if line.startswith("planted "))
    _, file, process = next((words for words in lines if len(words) == _PLANTED), ["planted", "?", "?"])
    expected = _expected(canary, file, process, modes)
    if blind := [what for what, line in expected.items() if line not in found]:
        raise BlindSearchError(
            f"host {host.uid}: the search of {' and '.join(blind)} does not find what was planted there; "
            "find, grep, /proc, journald's storage, systemd-run, mount and room in /run are what it needs"
        )
    ours = {*expected.values(), f"file /run/systemd/transient/{canary}.service"}
    return sorted({_told(line) for line in found if line not in ours and not line.startswith("planted ")})


def _expected(canary: str, file: str, process: str, modes: str) -> dict[str, str]:
    """Return the line that each surface must give, by what a message calls it."""
    expected = {
        "files": f"file {file}",
        "files of wide characters": f"file {file}-wide",
        "compressed files": f"file {file}-packed.gz",
        "names": f"name {canary}-name",
        "processes": f"process /proc/{process}/cmdline",
        "units": f"unit {canary}-unit",
        "mounts": f"mount {canary}-mount",
        "the journal": f"journal {canary}-journal",
    }
    return expected if modes == PUBLIC else {**expected, "environments": f"environment /proc/{process}/environ"}


def _told(line: str) -> str:
    kind, _, what = line.partition(" ")
    number = what.removeprefix("/proc/").partition("/")[0]
    names = {
        "file": what,
        "process": f"the arguments of process {number}",
        "environment": f"the environment of process {number}",
        "name": "the name of a file",
        "unit": "what systemctl shows of a unit or of itself",
        "mount": "the options of a mount",
        "kernel": "the kernel's log",
    }
    return names.get(kind, "the journal")
