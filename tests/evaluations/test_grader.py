"""A judge behind HTTP grades free answers, once each."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from evaluations.errors import EvalError
from evaluations.grader import Grader, read_grade
from evaluations.item import Item
from evaluations.results import Results


class Judge(ThreadingHTTPServer):
    """Answers each question with the next of `says`, the last again and again."""

    def __init__(self, says: list[str], status: int = 200) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.says, self.status = says, status
        self.heard: list[tuple[dict[str, Any], str | None]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/v1"


class _Handler(BaseHTTPRequestHandler):
    server: Judge

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        judge = self.server
        said = judge.says[min(len(judge.heard), len(judge.says) - 1)]
        judge.heard.append((body, self.headers.get("authorization")))
        reply = json.dumps({"choices": [{"message": {"content": said}}]}).encode()
        self.send_response(judge.status if self.path == "/v1/chat/completions" else 404)
        self.end_headers()
        self.wfile.write(reply)

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def judging(*says: str, status: int = 200) -> Iterator[Judge]:
    with Judge(list(says), status) as judge:
        Thread(target=judge.serve_forever, daemon=True).start()
        try:
            yield judge
        finally:
            judge.shutdown()


@pytest.fixture
def results(tmp_path: Path) -> Iterator[Results]:
    with Results(tmp_path / "r.jsonl", {"benchmark": "rvs"}) as results:
        for name in "ab":
            fields = {"question": f"What is {name}?", "answer_type": "ego"}
            results.add({"id": name, "answer": "right", "chosen": "said", "fields": fields})
        yield results


ITEMS = [Item(name, "ego", Path("v"), "?", "right") for name in "abc"]  # c has no answer yet


def test_every_answer_is_graded_once(results: Results) -> None:
    with judging("{'pred': 'yes', 'score': 4.8}", "{'pred': 'no', 'score': 0}") as judge:
        grader = Grader(judge.url, "judge-1", "secret")
        assert grader(results, ITEMS, print) == []
        assert grader(results, ITEMS, print) == []
        assert len(judge.heard) == 2
        body, key = judge.heard[0]
    assert {name: (each["yes"], each["mark"]) for name, each in results.grades.items()} == {
        "a": (True, 4),
        "b": (False, 0),
    }
    assert key == "Bearer secret"
    assert (body["model"], body["temperature"]) == ("judge-1", 0)
    asked = body["messages"][1]["content"]
    assert "Question: What is a?\nCorrect Answer: right\nPredicted Answer: said\n" in asked


def test_a_grade_that_cannot_be_read_is_named_not_guessed(results: Results) -> None:
    with judging("Certainly!", "Certainly!", "Certainly!", "{'pred': 'yes', 'score': 5}") as judge:
        skips = Grader(judge.url, "judge-1")(results, ITEMS, print)
    assert [(skip.id, skip.reason) for skip in skips] == [("a", "grade cannot be read")]
    assert list(results.grades) == ["b"]


def test_a_judge_that_does_not_answer_loses_nothing(results: Results) -> None:
    with judging("", status=500) as judge, pytest.raises(EvalError, match="goes on"):
        Grader(judge.url, "judge-1")(results, ITEMS, print)
    for url in ("http://127.0.0.1:9/v1", "no url"):
        with pytest.raises(EvalError, match="did not grade"):
            Grader(url, "judge-1")(results, ITEMS, print)
    assert list(results.records) == ["a", "b"]


def test_two_judges_are_not_mixed(results: Results) -> None:
    with judging("{'pred': 'yes', 'score': 5}") as judge:
        Grader(judge.url, "judge-1")(results, ITEMS, print)
        with pytest.raises(EvalError, match="judge-1"):
            Grader(judge.url, "judge-2")(results, ITEMS, print)


@pytest.mark.parametrize(
    ("said", "grade"),
    [
        ("{'pred': 'yes', 'score': 4}", (True, 4)),
        ('{"pred": "No", "score": 1.9}', (False, 1)),
        ("```python\n{'pred': 'yes', 'score': '3'}\n```", (True, 3)),
        ("{'pred': 'perhaps', 'score': 4}", None),
        ("{'pred': 'yes'}", None),
        ("{'pred': 'yes', 'score': 9}", None),
        ("", None),
    ],
)
def test_a_grade_is_read_from_what_models_write(said: str, grade: object) -> None:
    assert read_grade(said) == grade
