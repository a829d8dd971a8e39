"""A session as a file: exported, closed, imported and asked again, through the whole service."""

import asyncio
import io
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import pytest

from lookback_client import Frame, Lookback, SessionLost
from tests.lookback.conftest import ROOT, Serving, command, serving

QUESTION = "What is it now?"
NEXT = "And what was it before?"


@pytest.fixture(scope="module")
def service(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    with serving(model, tmp_path_factory.mktemp("transfer")) as made:
        yield made


def ran(service: Serving, *arguments: object) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        command("session", *arguments, "--url", service.url),
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
    )


def frames(count: int) -> Iterator[Frame]:
    noise = np.random.default_rng(0).integers(0, 256, (count, 6, 6, 3), dtype=np.uint8)
    for number, pixels in enumerate(noise):
        yield Frame(pixels.repeat(16, 0).repeat(16, 1), float(number))


def partly(folder: Path) -> list[Path]:
    """What an export that failed has left."""
    return [*folder.glob("no*"), *folder.glob("*.partial")]


async def test_a_session_goes_on_from_its_file_with_the_same_answers(
    service: Serving, tmp_path: Path
) -> None:
    file, small = tmp_path / "session.lbmem", tmp_path / "small.lbmem"
    async with Lookback(service.url) as lookback:
        async with lookback.session(instructions="Say little.") as session:
            camera = await session.publish(frames(6), per_second=20)
            await camera.wait()
            first = await session.ask(QUESTION, max_tokens=8)
            seen = (await session.state())["memory"]["frames_seen"]
            done = await asyncio.to_thread(ran, service, "export", session.id, file)
            assert done.returncode == 0, done.stderr
            size = file.stat().st_size
            assert await session.export(io.BytesIO()) == pytest.approx(size, abs=100)
            assert await session.export(small, "8-bit") < size / 2
            second = await session.ask(NEXT, max_tokens=8)
            assert second.turns_kept == 1
        again = await asyncio.to_thread(ran, service, "export", session.id, file)
        assert again.returncode == 1 and "is there already" in again.stderr
        gone = await asyncio.to_thread(ran, service, "export", session.id, tmp_path / "no")
        assert gone.returncode == 1 and "no session" in gone.stderr
        assert not partly(tmp_path)

        done = await asyncio.to_thread(ran, service, "import", file)
        assert done.returncode == 0, done.stderr
        async with lookback.join(done.stdout.strip()) as restored:
            assert restored.id != session.id
            assert (await restored.state())["instructions"] == "Say little."
            answer = await restored.ask(NEXT, max_tokens=8)
            assert (answer.text, answer.turns_kept) == (second.text, 1)
            assert answer.span == second.span and first.text
            # The camera goes on, later on the same time line.
            camera = await restored.publish(frames(3), per_second=20)
            await camera.wait()
            later = await restored.ask(QUESTION, max_tokens=1)
            memory = (await restored.state())["memory"]
            assert memory["frames_seen"] > seen and memory["frames_dropped"] == 0
            assert later.span and answer.span and later.span[1] > answer.span[1]
            await restored.delete()
        async with lookback.import_session(small) as restored:
            assert (await restored.ask(NEXT, max_tokens=1)).turns_kept == 1
        with pytest.raises(SessionLost):
            await lookback.join(restored.id).export(small)


async def test_a_session_that_has_seen_nothing_is_exported_and_imported(
    service: Serving, tmp_path: Path
) -> None:
    file = tmp_path / "empty.lbmem"
    async with Lookback(service.url) as lookback:
        async with lookback.session(budget_tokens=54) as session:
            await session.export(file)
        async with lookback.import_session(file) as restored:
            assert (await restored.state())["budget_tokens"] == 54
            camera = await restored.publish(frames(2), per_second=20)
            await camera.wait()
            answer = await restored.ask(QUESTION, max_tokens=1)
            assert answer.span is not None and answer.span[0] < 5


def test_what_is_no_whole_snapshot_is_refused_in_words(service: Serving, tmp_path: Path) -> None:
    file = tmp_path / "session.lbmem"
    with httpx.Client(base_url=service.url, trust_env=False, timeout=60) as client:
        session = client.post("/v1/sessions", json={}).json()["id"]
        reply = client.get(f"/v1/sessions/{session}/snapshot?option=zip")
        assert (reply.status_code, reply.json()["error"]["code"]) == (422, "invalid_request")
        reply = client.get(f"/v1/sessions/{session}/snapshot", params={"option": "entropy"})
        assert reply.headers["Content-Type"] == "application/octet-stream"
        assert reply.headers["Content-Disposition"].endswith(f'"{session[:8]}.lbmem"')
        whole = reply.content
        damaged = bytearray(whole)
        damaged[-100] ^= 1
        name = whole.index(b'"weights":"') + len(b'"weights":"')
        for data, words in (
            (b"", "is empty"),
            (b"GIF89a" + bytes(100), "no snapshot"),
            (whole[:-20], "cut short"),
            (whole[:100], "cut short in the header"),
            (bytes(damaged), "damaged in"),
            (whole[:8] + b"\x02" + whole[9:], "version 2"),
            (whole + b"x", "after its end"),
            (whole[:name] + b"00" + whole[name + 2 :], "damaged in the header"),
        ):
            reply = client.post("/v1/sessions/import", content=data)
            assert reply.status_code == 422, reply.text
            error = reply.json()["error"]
            assert error["code"] == "invalid_snapshot" and words in error["message"], error
        file.write_bytes(damaged)
        done = ran(service, "import", file)
        assert done.returncode == 1 and "damaged" in done.stderr and not done.stdout
        # Nothing of what was refused is left.
        assert client.get("/ready").json()["worker"]["max_sessions"] == 4
        made = [client.post("/v1/sessions/import", content=whole) for _ in range(3)]
        assert [reply.status_code for reply in made] == [201] * 3, [r.text for r in made]
        for one in (session, *(reply.json()["id"] for reply in made)):
            assert client.delete(f"/v1/sessions/{one}").status_code == 204
