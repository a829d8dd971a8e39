"""One supervised process: started, started again when it crashes, stopped, never left behind."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Final

from broker.embedded import dies_with

EXIT_UNUSABLE: Final = 78
"""A part that ends with this status (EX_CONFIG) would only end so again."""
FIRST_WAIT_SECONDS: Final = 0.5
LONGEST_WAIT_SECONDS: Final = 15.0
STEADY_SECONDS: Final = 30.0
"""A part that ran so long starts again without the waits of earlier crashes."""
STOP_SECONDS: Final = 8.0


class PartError(RuntimeError):
    """A part cannot run; it has said why on stderr."""


class Part:
    """`python -m lookback COMMAND…`, away from the terminal's Ctrl-C, dying with this process."""

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        environment: Mapping[str, str],
        say: Callable[[str], None],
    ) -> None:
        self.name = name
        self._command = [sys.executable, "-m", "lookback", *command]
        self._environment = {**os.environ, **environment}
        self._say = say
        self._process: asyncio.subprocess.Process | None = None
        self._starting = asyncio.Lock()
        self._stopping = False

    @property
    def pid(self) -> int | None:
        """The running process's id."""
        process = self._process
        return process.pid if process is not None and process.returncode is None else None

    async def run(self) -> None:
        """Until `stop`. Raises PartError where starting again cannot help.

        For the main thread: the kernel ends the process with the thread that started it.
        """
        wait = FIRST_WAIT_SECONDS
        while not self._stopping:
            began = time.monotonic()
            async with self._starting:
                self._process = await asyncio.create_subprocess_exec(
                    *self._command,
                    env=self._environment,
                    stdin=subprocess.DEVNULL,
                    start_new_session=True,
                    preexec_fn=dies_with(os.getpid()),
                )
            status = await self._process.wait()
            if self._stopping:
                return
            if status == EXIT_UNUSABLE:
                raise PartError(f"The {self.name} cannot run with these settings (see above).")
            if time.monotonic() - began > STEADY_SECONDS:
                wait = FIRST_WAIT_SECONDS
            self._say(f"The {self.name} {_ended(status)}; starting it again in {wait:.1f} s.")
            await asyncio.sleep(wait)
            wait = min(2 * wait, LONGEST_WAIT_SECONDS)

    async def stop(self) -> None:
        """SIGTERM, and SIGKILL where that does not help within STOP_SECONDS."""
        self._stopping = True
        async with self._starting:  # a process runs some time before it is known here
            process = self._process
        if process is None or process.returncode is not None:
            return
        process.terminate()
        try:
            await asyncio.wait_for(process.wait(), STOP_SECONDS)
        except TimeoutError:
            self._say(f"The {self.name} does not stop; killing it.")
            with suppress(ProcessLookupError):  # it ended after all
                process.kill()
            await process.wait()


def _ended(status: int) -> str:
    if status < 0:
        return f"was ended by {signal.Signals(-status).name}"
    return f"ended with status {status}"
