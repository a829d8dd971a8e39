"""The demo: a clip through a real WebRTC connection, judged answers, the memory's cap."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from lookback.demo import DemoError, Question, read_script
from tests.lookback.conftest import ROOT, command


@pytest.mark.parametrize(
    ("answer", "right"),
    [
        ("It is a clock.", True),
        ("it is  a clock", True),
        ("A clock!", True),
        ("It is a clock tower.", False),
        ("It is not a clock.", False),
        ("", False),
    ],
)
def test_answers_are_judged_by_their_words(answer: str, right: bool) -> None:
    question = Question(1.0, "What is it now?", "It is a clock.", ("A clock.",))
    assert question.right(answer) is right


def test_a_script_is_read_in_the_order_of_its_times(tmp_path: Path) -> None:
    clip = tmp_path / "some.mp4"
    with pytest.raises(DemoError, match="no clip"):
        read_script(clip)
    clip.touch()
    with pytest.raises(DemoError, match=r"no .*some\.json"):
        read_script(clip)
    script = clip.with_suffix(".json")
    for text, words in (("{", "cannot be read"), ('{"questions": []}', "no questions")):
        script.write_text(text)
        with pytest.raises(DemoError, match=words):
            read_script(clip)
    asked = [{"at": at, "question": "What?", "expected": "It."} for at in (5, 2)]
    script.write_text(json.dumps({"clip": "some.mp4", "questions": asked}))
    assert [question.at for question in read_script(clip).questions] == [2, 5]


DEPLOYED = {"LOOKBACK_HOST": "0.0.0.0", "LOOKBACK_API_KEYS_FILE": "/nowhere/keys.json"}
"""What a machine's own service is told: the demo's is another one."""


def play(*arguments: object) -> tuple[int, dict[str, Any], str]:
    done = subprocess.run(
        command("demo", "--json", *arguments),
        capture_output=True, text=True, check=False, cwd=ROOT, env=os.environ | DEPLOYED,
    )  # fmt: skip
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout), done.stderr


def test_a_model_that_knows_nothing_fails_and_says_so(clip: Path, model: Path) -> None:
    asked = [
        {"at": 2.5, "question": "What is it now?", "expected": "It is nothing of the kind."},
        {"at": 4.5, "question": "Have you seen a dog?", "expected": "No, a cat."},
    ]
    clip.with_suffix(".json").write_text(json.dumps({"questions": asked}))
    status, outcome, said = play("--clip", clip, "--model", model)
    assert status == 1
    assert "Traceback" not in said
    assert (outcome["correct"], len(outcome["questions"]), outcome["passed"]) == (0, 2, False)
    assert outcome["frames_sent"] >= outcome["frames_seen"] >= 3
    assert 0 < outcome["peak_tokens"] <= outcome["cap_tokens"]
    assert len(outcome["ttft_seconds"]) == 2
    assert all(question["answer"] for question in outcome["questions"])


@pytest.mark.timeout(600)  # the clip plays for two minutes
def test_the_shipped_model_answers_about_the_shipped_clip() -> None:
    status, outcome, _ = play()
    wrong = [question for question in outcome["questions"] if not question["right"]]
    assert status == 0, wrong
    assert len(outcome["questions"]) >= 8
    assert outcome["correct"] >= 0.9 * len(outcome["questions"])
    assert outcome["compressions"] > 0
    assert outcome["peak_tokens"] <= outcome["cap_tokens"]
    assert outcome["frames_dropped"] == 0
