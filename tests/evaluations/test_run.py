"""From a folder to a summary: what is left is asked, what cannot be is named."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from evaluations import BENCHMARKS
from evaluations.errors import ChoiceError, EvalError
from evaluations.run import Options, run
from model_worker.engine import Engine
from tests.evaluations.datasets import VIDEOMME_ROW, WRITE, dump

Dataset = Callable[[str], Path]

ALL = {
    "egoschema": ("subset", "hidden"),
    "streamingbench": ("real", "sqa", "proactive"),
}
"""Tasks where the default is not everything."""


def evaluate(engine: Engine, name: str, folder: Path, out: Path, **more: Any) -> dict[str, Any]:
    options = Options(data=folder, out=out, **more)
    return run(BENCHMARKS[name], engine, options)


@pytest.mark.parametrize("name", WRITE)
def test_every_benchmark_runs_from_its_files_to_a_figure(
    engine: Engine, dataset: Dataset, tmp_path: Path, name: str
) -> None:
    folder, out = dataset(name), tmp_path / "r.jsonl"
    found = evaluate(engine, name, folder, out, tasks=ALL.get(name, ()))
    assert found["questions"] == found["answered"] > 0
    assert found["skipped"] == {}
    lines = [json.loads(line) for line in out.read_text("utf-8").splitlines()]
    assert lines[0]["benchmark"] == name
    records = lines[1:]
    benchmark = BENCHMARKS[name]
    items = {item.id: item for item in benchmark.read(folder, False) if item.id != "skip"}
    for record in records:
        verdict = benchmark.judge(items[record["id"]], record["responses"])  # type: ignore[arg-type]
        assert (record["chosen"], record["score"]) == (verdict.chosen, verdict.score)
        assert record["asked_at"] <= max(record["times"] or [100])
    counted = [
        record["score"]
        for record in records
        if record["score"] is not None and (record["chosen"] or not benchmark.leaves_out)
    ]
    assert found["scored"] == len(counted)
    if counted:
        assert found["mean_of_questions"] == pytest.approx(100 * sum(counted) / len(counted))
    summary = json.loads((tmp_path / "r.summary.json").read_text("utf-8"))
    assert summary == json.loads(json.dumps(found))


def test_nothing_is_asked_twice_and_the_file_stays_the_same(
    engine: Engine, dataset: Dataset, tmp_path: Path
) -> None:
    folder, whole, parts = dataset("ovobench"), tmp_path / "whole.jsonl", tmp_path / "parts.jsonl"
    once = evaluate(engine, "ovobench", folder, whole)
    for limit in (2, 5):
        evaluate(engine, "ovobench", folder, parts, limit=limit)
    said: list[str] = []
    options = Options(data=folder, out=parts)
    again = run(BENCHMARKS["ovobench"], engine, options, tell=said.append)
    assert "5 of 7 questions are answered already" in said
    assert sorted(whole.read_text().splitlines()) == sorted(parts.read_text().splitlines())
    assert again == once | {"results": str(parts)}
    before = parts.read_bytes()
    evaluate(engine, "ovobench", folder, parts)
    assert parts.read_bytes() == before


def test_stopped_at_any_time_it_goes_on_to_the_same_file(
    engine: Engine, dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As Ctrl-C does: KeyboardInterrupt out of a frame, and out of an answer."""
    from model_worker.answer import Answer
    from model_worker.session import Session

    folder, whole, parts = dataset("ovobench"), tmp_path / "whole.jsonl", tmp_path / "parts.jsonl"
    evaluate(engine, "ovobench", folder, whole)
    for kind, method in ((Session, "watch"), (Answer, "step")):
        inner, left = getattr(kind, method), [4]

        def stop(*given: Any, inner: Any = inner, left: list[int] = left) -> Any:
            left[0] -= 1
            if left[0] < 0:
                raise KeyboardInterrupt
            return inner(*given)

        with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
            patched.setattr(kind, method, stop)
            evaluate(engine, "ovobench", folder, parts)
        assert engine.pool.used_tokens == 0
    evaluate(engine, "ovobench", folder, parts)
    assert parts.read_bytes() == whole.read_bytes()


def test_what_cannot_be_asked_is_named_counted_and_not_scored(
    engine: Engine, dataset: Dataset, tmp_path: Path
) -> None:
    folder = dataset("videomme")
    rows = json.loads((folder / "videomme.json").read_text())
    rows += [
        rows[0],
        {**VIDEOMME_ROW, "question_id": "003-1", "videoID": "gone", "video_id": "gone"},
        {**VIDEOMME_ROW, "question_id": "004-1", "videoID": "zero"},
        {**VIDEOMME_ROW, "question_id": "005-1", "answer": "Z"},
        17,
    ]
    dump(folder / "videomme.json", rows)
    (folder / "data" / "zero.mp4").write_bytes(b"")
    found = evaluate(engine, "videomme", folder, tmp_path / "r.jsonl")
    assert found["skipped"] == {
        "duplicate id": 1,
        "malformed row": 2,
        "no video": 1,
        "damaged video": 1,
    }
    assert (found["questions"], found["answered"]) == (5, 3)
    assert {skip["id"] for skip in found["skips"]} == {
        "001-1",
        "003-1",
        "004-1",
        "videomme.json row 7",
        "videomme.json row 8",
    }
    (folder / "data" / "zero.mp4").write_bytes((folder / "data" / "second.mp4").read_bytes())
    assert evaluate(engine, "videomme", folder, tmp_path / "r.jsonl")["answered"] == 4


def test_tasks_and_groups_are_chosen_by_name(
    engine: Engine, dataset: Dataset, tmp_path: Path
) -> None:
    folder = dataset("videomme")
    for tasks, count in ((("long",), 1), (("ocr problems",), 1), (("short", "long"), 3)):
        out = tmp_path / f"{tasks[0]}.jsonl"
        assert evaluate(engine, "videomme", folder, out, tasks=tasks)["questions"] == count
    with pytest.raises(ChoiceError, match=r"none; there are .*Counting Problem.*long, short"):
        evaluate(engine, "videomme", folder, tmp_path / "r.jsonl", tasks=("none",))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"fps": 0.0}, "--fps"),
        ({"fps": float("nan")}, "--fps"),
        ({"limit": 0}, "--limit"),
        ({"subtitles": True}, "--subtitles"),
        ({"policy": "magic"}, "magic"),
        ({"budget_tokens": 1}, "budget"),
    ],
)
def test_options_that_cannot_be_are_named_before_anything_is_written(
    engine: Engine, dataset: Dataset, tmp_path: Path, options: dict[str, Any], words: str
) -> None:
    out = tmp_path / "r.jsonl"
    with pytest.raises(ChoiceError, match=words):
        evaluate(engine, "mlvu", dataset("mlvu"), out, **options)
    assert not out.exists()


def test_results_of_another_budget_and_changed_questions_are_refused(
    engine: Engine, dataset: Dataset, tmp_path: Path
) -> None:
    folder, out = dataset("egoschema"), tmp_path / "r.jsonl"
    evaluate(engine, "egoschema", folder, out, budget_tokens=54)
    with pytest.raises(EvalError, match="--budget 54"):
        evaluate(engine, "egoschema", folder, out, budget_tokens=63)
    with pytest.raises(EvalError, match="--policy novelty"):
        evaluate(engine, "egoschema", folder, out, budget_tokens=54, policy="recency")
    rows = json.loads((folder / "questions.json").read_text())
    for row in rows:
        row["question"] = "And what is c doing now?"
    dump(folder / "questions.json", rows)
    with pytest.raises(EvalError, match="have changed"):
        evaluate(engine, "egoschema", folder, out, budget_tokens=54)


def test_an_empty_benchmark_is_an_error(engine: Engine, tmp_path: Path) -> None:
    dump(tmp_path / "lvb_val.json", [])
    with pytest.raises(EvalError, match="no questions"):
        evaluate(engine, "longvideobench", tmp_path, tmp_path / "r.jsonl")


def test_subtitles_are_asked_for(engine: Engine, dataset: Dataset, tmp_path: Path) -> None:
    folder = dataset("longvideobench")
    found = evaluate(engine, "longvideobench", folder, tmp_path / "with.jsonl", subtitles=True)
    assert found["answered"] == 2 and found["subtitles"] and not found["subtitles_left_out"]
    record = json.loads((tmp_path / "with.jsonl").read_text().splitlines()[1])
    assert record["subtitles"] == [2, 2]
    with pytest.raises(EvalError, match="subtitles"):
        evaluate(engine, "longvideobench", folder, tmp_path / "with.jsonl")
