"""`lookback serve` pulls from an IP camera, and answers about it."""

from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.lookback.conftest import eventually, serving
from tests.server.programs import gstreamer_camera

PASSWORD = "hush-7731"


def test_a_network_camera_is_pulled_from_and_asked_about(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOOKBACK_RTSP_HOSTS", "127.0.0.1:*")
    question = {"role": "user", "content": "what did you see?"}
    with (
        gstreamer_camera("h264", "digest", password=PASSWORD) as (port, _),
        serving(model, tmp_path) as service,
        httpx.Client(base_url=service.url, trust_env=False, timeout=60) as http,
    ):
        opened = http.post("/v1/sessions")
        assert opened.status_code == 201, opened.text
        session = opened.json()["id"]
        url = f"rtsp://viewer:{PASSWORD}@127.0.0.1:{port}/camera"
        made = http.post(f"/v1/sessions/{session}/rtsp", json={"url": url})
        assert made.status_code == 201, made.text

        def seen() -> Any:
            memory = http.get(f"/v1/sessions/{session}").json()["memory"]
            return memory and memory["frames_seen"] >= 2

        eventually(seen, "frame in the model's memory")
        asked = {"model": session, "messages": [question], "max_completion_tokens": 8}
        answer = http.post("/v1/chat/completions", json=asked)
        assert answer.status_code == 200, answer.text
        assert answer.json()["lookback"]["span"][1] > 0
        assert http.delete(made.headers["location"]).status_code == 204
        assert http.get(f"/v1/sessions/{session}").json()["camera"]["state"] == "gone"
        assert http.delete(f"/v1/sessions/{session}").status_code == 204
    assert PASSWORD not in service.said + made.text
