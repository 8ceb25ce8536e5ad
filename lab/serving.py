"""The process of a lab (``python -m lab serve``), and the words that it takes on a socket in its folder.

``status`` describes the lab, ``take`` gives it to a run with seeded faults, ``touches`` lists what these faults did,
``keep`` makes it outlive its starter, ``power`` cuts a host's power, ``stop`` takes the lab down. A run has the lab for
as long as its connection stands: when the run ends, however it ends, the faults go that it brought.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from engine.trouble import TROUBLE
from lab.faults import UnknownFault
from lab.site import running_lab

if TYPE_CHECKING:
    from asyncio import StreamReader, StreamWriter

    import docker

    from lab.images import HostImages
    from lab.settings import LabSettings, Message
    from lab.site import Lab, Say


#: A request may hold the sources of faults; the reader's own limit is 64 KiB.
_LONGEST_REQUEST = 2**30


async def serve(settings: LabSettings, client: docker.DockerClient, built: HostImages, say: Say) -> None:
    """Run a lab until it is told to stop, its starter is gone (unless it is kept), or the process is signalled."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    _stop_with_starter(stop)
    serving = asyncio.ensure_future(_serve(settings, client, built, say, stop))
    stopped = asyncio.ensure_future(stop.wait())
    await asyncio.wait({serving, stopped}, return_when=asyncio.FIRST_COMPLETED)
    stopped.cancel()
    if not settings.site_file.exists():
        serving.cancel()  # told to stop while still starting
    with contextlib.suppress(asyncio.CancelledError):
        await serving


async def _serve(
    settings: LabSettings, client: docker.DockerClient, built: HostImages, say: Say, stop: asyncio.Event
) -> None:
    async with running_lab(settings, client, built, say) as lab:
        answering = _Counter(lab, stop).converse
        server = await asyncio.start_unix_server(answering, settings.socket, limit=_LONGEST_REQUEST)
        say("ready")
        async with server:
            await stop.wait()


def _stop_with_starter(stop: asyncio.Event) -> None:
    """Stop when the starter's end of our standard input closes: so even SIGKILL of the starter ends the lab."""

    def gone() -> None:
        if not os.read(0, 4096):
            asyncio.get_running_loop().remove_reader(0)
            stop.set()

    asyncio.get_running_loop().add_reader(0, gone)


@dataclass
class _Counter:
    """Answers requests to a lab, one a connection."""

    lab: Lab
    stop: asyncio.Event
    used_by: str = ""

    async def converse(self, reader: StreamReader, writer: StreamWriter) -> None:
        """Answer a request; the connection of a run that takes the lab stands until the run ends."""
        with contextlib.closing(writer), contextlib.suppress(ConnectionError):
            if line := await reader.readline():
                answer = self._answer(line)
                writer.write(json.dumps(answer).encode() + b"\n")
                await writer.drain()
                if "taken" in answer:
                    await self._until_given_back(reader)

    async def _until_given_back(self, reader: StreamReader) -> None:
        waiting = [asyncio.ensure_future(each) for each in (reader.read(), self.stop.wait())]
        try:
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for each in waiting:
                each.cancel()
            self.lab.endpoint.seed(self.lab.settings.faults)
            self.used_by = ""

    def _answer(self, line: bytes) -> Message:
        try:
            return self._obey(json.loads(line))
        except (ValueError, LookupError, TypeError, UnknownFault, *TROUBLE) as error:
            return {"error": f"{type(error).__name__}: {error}"}

    def _obey(self, request: Message) -> Message:
        match request["word"]:
            case "status":
                return self._status()
            case "take":
                return self._take(request["run"], request["faults"])
            case "touches":
                return {"touches": [asdict(touch) for touch in self.lab.endpoint.touches]}
            case "keep":
                asyncio.get_running_loop().remove_reader(0)
                self.lab.settings.kept.touch()
            case "power":
                by_name = {host.settings.name: host for host in self.lab.hosts}
                by_name[request["host"]].cut_power()
            case "stop":
                self.stop.set()
            case word:
                raise LookupError(f"the lab knows no word {word!r}")
        return {}

    def _take(self, run: str, faults: list[Message]) -> Message:
        if self.used_by:
            return {"error": f"{self.used_by} uses it"}
        self.lab.endpoint.seed(faults)
        self.used_by = run
        return {"taken": run}

    def _status(self) -> Message:
        settings = self.lab.settings
        return {
            "hosts": len(self.lab.hosts),
            "version": settings.version,
            "kind": settings.kind,
            "current_openssh": settings.current_openssh,
            "mode": settings.mode,
            "kubernetes": settings.kubernetes is not None,
            "url": self.lab.url,
            "strict": settings.strict_seed is not None or settings.masks != "refuse",
            "own_faults": [fault["name"] for fault in settings.faults],
            "faults": [fault["name"] for fault in self.lab.endpoint.faults],
            "used_by": self.used_by,
        }
