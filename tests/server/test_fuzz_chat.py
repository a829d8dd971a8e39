"""Bodies of requests, broken in every way: each is answered, or refused in words."""

from typing import Any

import httpx
from hypothesis import given
from hypothesis import strategies as st

from server.chat import ChatRequest
from tests.server.clients import data_url
from tests.server.fuzzing import campaign, unharmed
from tests.server.mutations import OFFERS, damaged, trees

_KINDS = st.sampled_from(
    ("application/json",) * 8 + ("text/plain", "", "application/x-sdp", "a/b;")
)
_OPTIONS: dict[str, Any] = {
    "max_tokens": 9, "temperature": 0.5, "top_p": 0.9, "seed": 4, "stop": ["END"], "n": 1,
    "stream_options": {"include_usage": True}, "response_format": {"type": "text"}, "tools": [],
    "logit_bias": {}, "user": "me", "modalities": ["text"], "presence_penalty": 0,
}  # fmt: skip
_CONTENT: list[Any] = [
    {"type": "text", "text": "what is it?"},
    {"type": "image_url", "image_url": {"url": data_url(), "detail": "low"}},
]


def _bodies(valid: list[Any], keys: tuple[str, ...]) -> st.SearchStrategy[bytes]:
    """As UTF-8, and what is none."""
    whole = trees(valid, keys).map(lambda text: text.encode("utf-8", "surrogatepass"))
    return whole | damaged([b'{"model": "x", "messages": []}']) | st.binary(max_size=40)


def test_no_question_does_any_harm(gateway: str) -> None:
    statuses = set()
    with unharmed(gateway) as session, httpx.Client(base_url=gateway, timeout=60) as client:
        asked = {"role": "user", "content": _CONTENT[:1]}
        valid = [
            {"model": session, "messages": [{"role": "system", "content": ""}, asked]},
            {"model": session, "messages": [asked], "stream": True, **_OPTIONS},
            {"model": session, "messages": [{"role": "user", "content": _CONTENT}]},
        ]
        client.post("/v1/chat/completions", json=valid[2]).raise_for_status()  # it sees something

        @campaign(250)
        @given(_bodies(valid, (*ChatRequest.model_fields, "functions", "other")), _KINDS)
        def ask(body: bytes, kind: str) -> None:
            headers = {"Content-Type": kind.encode()}
            reply = client.post("/v1/chat/completions", content=body, headers=headers)
            statuses.add(reply.status_code)
            if reply.is_success:
                assert "data: [DONE]" in reply.text or reply.json()["choices"]
                return
            assert 400 <= reply.status_code < 500, (reply.status_code, reply.text)
            assert set(reply.json()["error"]) == {"type", "code", "message", "param"}

        ask()
    assert {200, 400} <= statuses, "the mutations are too strong, or too weak"


def test_no_wish_for_a_session_does_any_harm(gateway: str) -> None:
    with unharmed(gateway) as session, httpx.Client(base_url=gateway, timeout=60) as client:
        valid = [{"budget_tokens": 216, "instructions": "Be brief."}]
        offers = [{"sdp": OFFERS["ffmpeg"], "type": "offer"}]
        doors = [
            ("/v1/sessions", _bodies(valid, ("model", "budget_tokens"))),
            (f"/v1/sessions/{session}/offer", _bodies(offers, ("camera", "session"))),
        ]

        @campaign(150)
        @given(st.sampled_from(doors).flatmap(lambda d: st.tuples(st.just(d[0]), d[1])), _KINDS)
        def wish(sent: tuple[str, bytes], kind: str) -> None:
            headers = {"Content-Type": kind.encode()}
            reply = client.post(sent[0], content=sent[1], headers=headers)
            if reply.status_code == 201:
                client.delete(f"/v1/sessions/{reply.json()['id']}").raise_for_status()
            elif reply.status_code != 200:
                assert 400 <= reply.status_code < 500, (reply.status_code, reply.text)
                assert set(reply.json()["error"]) == {"type", "code", "message", "param"}

        wish()
