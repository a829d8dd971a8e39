"""More and more clients of one service, until it refuses and past that: what each is given.

A real gateway, broker and worker (lookback-mini, one thread) are processes of their own; so are
their clients. Each client wants a session, sends it a camera of 640×480 once a second (by
websocket; one in `webrtc_every` by WebRTC, VP8 at five frames a second), and asks a question,
hears the answer, thinks, and asks again, half of them by websocket and half by chat completions.
It leaves after half a minute, and comes again. Who is refused comes again when it was told to; one
half keep their place in the queue, the others know nothing of tickets.

The first steps have `clients` with one asker each. The last ones have as many clients as there is
room for, and more and more `askers` of each session, until questions are refused.

`accepted` of the `clients` have a session at the step's end, and `refused` have none, each of
which was told so, or is about to be; `hung` counts requests that were not answered in time.
`questions_refused` were. Times in seconds: `ttft_p99` from a question to the first text as its
asker measures it, `frame_age_p99` from a frame's arrival at the gateway (`captured_at`) until the
gateway's clients hear that memory has it. `dropped` frames were sampled and never reached memory.
`told` has all refusals by code: how often each was said, with a Retry-After, with a place.

`goodput_past_saturation` is the least `answers_per_second` of the steps past the limit over the
most of any step of its kind: of those with one asker each, in which sessions are refused, and of
those with as many clients as there is room for, in which questions are. The lesser of the two.

With `simulate` the workers sleep instead of computing (`sleeping_worker`), which is all that this
machine's cores allow for two of them: `simulated_two_workers_ratio` is the most answers a second
of two workers over that of one. `sessions_by_worker` are taken where half of the room is.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, Final

from benchmarks.errors import OptionError
from benchmarks.service import LoadedService, service

DESCRIPTION = "cameras and askers in steps, past the limit: answers, waits, refusals"

CAPACITY: Final = 16
"""Sessions of each worker."""
_STEPS: Final = (4, 8, 16, 24, 48, 96)
_ASKERS: Final = (4, 12, 24)
_SETTLE_SECONDS: Final = 4.0
_STAY_SECONDS: Final = 30.0
_SHARES: Final = (0.5, 1.0, 1.5)  # of the room: the steps of a simulation


def run(
    *,
    steps: str | Sequence[int] | None = None,
    seconds: float = 10.0,
    simulate: bool = False,
    workers: int | None = None,
    think: float = 0.5,
    tokens: int = 16,
    capacity: int = CAPACITY,
    stay: float = _STAY_SECONDS,
    askers: Sequence[int] | None = None,
    webrtc_every: int = 8,
    settle: float = _SETTLE_SECONDS,
    progress: Callable[[str], None] = lambda text: None,
) -> dict[str, Any]:
    """steps: numbers of clients, rising, `4,8,16` in text. seconds: of each step, after `settle`
    more. workers: None is one, or, simulated, one and then two. askers: of each session, in the
    last steps; None: of those that do not simulate. Raises OptionError."""
    if not 1 <= seconds <= 3600:
        raise OptionError(f"--seconds of load is from 1 to 3600, not {seconds:g}")
    if workers is not None and not 1 <= workers <= 16:
        raise OptionError(f"--workers is from 1 to 16, not {workers:g}")
    chosen = None if steps is None else _read(steps)
    bench = _Bench(seconds, settle, think, tokens, capacity, stay, webrtc_every, progress)
    figures: dict[str, Any] = {
        "benchmark": "load",
        "workers": "simulated: they sleep" if simulate else "real",
        "sessions_a_worker": capacity,
        "think_seconds": think,
        "longest_answer_tokens": tokens,
        "seconds": seconds,
    }
    if not simulate:
        count = int(workers or 1)
        figures |= bench.measure(
            count, False, chosen or _STEPS, _ASKERS if askers is None else askers
        )
        return figures
    runs = {}
    for count in [1, 2] if workers is None else [int(workers)]:
        shares = [round(share * count * capacity) for share in _SHARES]
        runs[count] = bench.measure(count, True, chosen or shares, askers or ())
    figures["steps"] = [
        {"workers": count, **step} for count, found in runs.items() for step in found["steps"]
    ]
    figures["told"] = [record for found in runs.values() for record in found["told"]]
    figures["goodput_past_saturation"] = runs[max(runs)]["goodput_past_saturation"]
    if len(runs) == 2:
        one, two = (_peak(found["steps"]) for found in runs.values())
        figures["simulated_two_workers_ratio"] = round(two / one, 3) if one else None
    return figures


class _Bench:
    """How the steps are taken."""

    def __init__(
        self,
        seconds: float,
        settle: float,
        think: float,
        tokens: int,
        capacity: int,
        stay: float,
        webrtc_every: int,
        progress: Callable[[str], None],
    ) -> None:
        self._seconds = seconds
        self._settle = settle
        self._think = think
        self._tokens = tokens
        self._capacity = capacity
        self._stay = stay
        self._every = webrtc_every
        self._progress = progress

    def measure(
        self, workers: int, simulate: bool, steps: Sequence[int], askers: Sequence[int]
    ) -> dict[str, Any]:
        return asyncio.run(self._measured(workers, simulate, steps, askers), debug=False)

    async def _measured(
        self, workers: int, simulate: bool, steps: Sequence[int], askers: Sequence[int]
    ) -> dict[str, Any]:
        self._progress("starting broker, gateway, worker and clients")
        async with service(
            capacity=self._capacity,
            workers=workers,
            simulate=simulate,
            think=self._think,
            tokens=self._tokens,
            stay=self._stay,
        ) as loaded:
            room = workers * self._capacity
            plan = [(clients, 1) for clients in steps] + [(room, count) for count in askers]
            taken = [await self._step(loaded, clients, count) for clients, count in plan]
        return {
            "steps": [
                {name: step[name] for name in step if name not in ("told", "failed")}
                for step in taken
            ],
            "goodput_past_saturation": _goodput(taken, room),
            "told": _added(taken),
            "failed": dict(sum((Counter(step["failed"]) for step in taken), Counter())),
        }

    async def _step(self, loaded: LoadedService, clients: int, askers: int) -> dict[str, Any]:
        self._progress(f"{clients} clients, {askers} askers each")
        await loaded.crowd.order("be", clients=clients, askers=askers, every=self._every)
        await asyncio.sleep(self._settle)
        used = loaded.cpu_seconds()
        measured = await loaded.crowd.order("measure", seconds=self._seconds)
        cpu = {
            f"{name}_cpu": round((seconds - used[name]) / self._seconds, 2)
            for name, seconds in loaded.cpu_seconds().items()
        }
        self._progress(
            f"{measured['answers_per_second']} answers a second, {measured['refused']} without a "
            f"session, {measured['questions_refused']} questions refused, {measured['hung']} hung"
        )
        spread = list((await loaded.sessions_by_worker()).values())
        return {
            "clients": clients,
            "askers": askers,
            **measured,
            **cpu,
            "sessions_by_worker": spread,
        }


def _read(steps: str | Sequence[int]) -> list[int]:
    """Raises OptionError."""
    try:
        numbers = [int(step) for step in (steps.split(",") if isinstance(steps, str) else steps)]
    except ValueError:
        numbers = []
    if not numbers or numbers[0] < 1 or numbers != sorted(set(numbers)):
        raise OptionError(f"--steps are rising numbers of clients, as 4,8,16, not {steps}")
    return numbers


def _peak(steps: Sequence[dict[str, Any]]) -> float:
    return float(max(step["answers_per_second"] for step in steps))


def _goodput(steps: Sequence[dict[str, Any]], room: int) -> float | None:
    """None where nothing was refused, or answered."""
    ratios = []
    for kind, refused in (
        ([step for step in steps if step["askers"] == 1], "refused"),
        ([step for step in steps if step["clients"] == room], "questions_refused"),
    ):
        past = [step["answers_per_second"] for step in kind if step[refused]]
        if past and _peak(kind):
            ratios.append(min(past) / _peak(kind))
    return round(min(ratios), 3) if ratios else None


def _added(steps: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """What was told in all steps, by code and status."""
    told: dict[tuple[str, int], dict[str, Any]] = {}
    for record in (record for step in steps for record in step["told"]):
        key = record["code"], record["status"]
        known = told.setdefault(
            key,
            {
                "code": key[0],
                "status": key[1] or "websocket",
                "times": 0,
                "with_retry_after": 0,
                "with_place": 0,
            },
        )
        for name in ("times", "with_retry_after", "with_place"):
            known[name] += record[name]
    return list(told.values())
