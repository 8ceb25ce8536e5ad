"""A real SSH server of this machine, in this process, that behaves as hosts do: noise, odd shells, answers without end.

A command is run by the shell that the test chooses, as the user who runs the tests.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncssh

from edge import EdgeHost, SshAccess
from edge.conversation import SUDO

Answer = Callable[["asyncssh.SSHServerProcess[bytes]"], Coroutine[Any, Any, None]]


@dataclass
class ServerBehaviour:
    """What a host does with a login and a command; every field may be changed while it runs."""

    before: bytes = b""
    after: bytes = b""
    shell: tuple[str, ...] = ("/bin/sh", "-c")
    status: int | None = None
    answer: Answer | None = None
    environment: dict[str, str] = field(default_factory=dict)
    refuses_logins: bool = False
    logins: int = 0
    commands: list[str] = field(default_factory=list)
    terminals: list[str] = field(default_factory=list)

    async def serve(self, process: asyncssh.SSHServerProcess[bytes]) -> None:
        """Run what a client asks for."""
        self.commands.append(process.command or "")
        self.environment = {str(name): str(value) for name, value in process.env.items()}
        self.terminals += [process.term_type] if process.term_type else []
        if self.answer is not None:
            await self.answer(process)
            return
        process.stdout.write(self.before)
        process.stderr.write(self.before)
        words = [*self.shell, (process.command or "").removeprefix(SUDO)]
        pipe = asyncio.subprocess.PIPE
        shell = await asyncio.create_subprocess_exec(*words, stdin=pipe, stdout=pipe, stderr=pipe)
        out, err = await shell.communicate(await process.stdin.read())
        process.stdout.write(out + self.after)
        process.stderr.write(err)
        process.exit(self.status if self.status is not None else shell.returncode or 0)


@dataclass
class SshServer:
    """Where the server is, what it does, and how it is logged in to."""

    behaviour: ServerBehaviour
    folder: Path
    port: int

    def host(self, *, back_within: float = 3.0, **different: object) -> EdgeHost:
        """Return the server as an Edge host."""
        right: dict[str, object] = {
            "address": "127.0.0.1", "user": "qa", "control": self.folder, "port": self.port, "sudo": False,
            "key": self.folder / "key", "known_hosts": self.folder / "known",
        }  # fmt: skip
        access = SshAccess(**{**right, **different})  # type: ignore[arg-type] # as the test names them
        return EdgeHost("edge-1", access, back_within=back_within)


@contextmanager
def serving(folder: Path) -> Iterator[SshServer]:
    """Serve on a free port of loopback while the block runs."""
    behaviour = ServerBehaviour()
    key, host_key = (asyncssh.generate_private_key("ssh-ed25519") for _ in range(2))
    key.write_private_key(folder / "key")
    (folder / "key").chmod(0o600)

    class Server(asyncssh.SSHServer):
        def begin_auth(self, _username: str) -> bool:
            behaviour.logins += 1
            return True

        def public_key_auth_supported(self) -> bool:
            return True

        def validate_public_key(self, _username: str, _key: asyncssh.SSHKey) -> bool:
            return not behaviour.refuses_logins

    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()

    def done(task: Coroutine[Any, Any, Any]) -> Any:  # noqa: ANN401 - whatever the task gives
        return asyncio.run_coroutine_threadsafe(task, loop).result(10)

    async def start() -> asyncssh.SSHAcceptor:
        return await asyncssh.create_server(
            Server, "127.0.0.1", 0, server_host_keys=[host_key], process_factory=behaviour.serve, encoding=None
        )

    server = done(start())
    port = server.sockets[0].getsockname()[1]
    (folder / "known").write_text(f"[127.0.0.1]:{port} {host_key.export_public_key().decode()}")
    made = SshServer(behaviour, folder, port)
    try:
        yield made
    finally:
        made.host().close()
        done(_ended(server))
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


async def _ended(server: asyncssh.SSHAcceptor) -> None:
    server.close()
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await asyncio.gather(*others, return_exceptions=True)
