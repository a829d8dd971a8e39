"""Miniature data sets in the benchmarks' own formats, with clips of a few seconds."""

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import numpy as np

RATE = 5  # frames a second


def clip(path: Path, seconds: float = 6.0, size: int = 64) -> Path:
    """A square that moves over noise; made anew, with its folders."""
    path.parent.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(len(str(path)))
    ground = random.integers(0, 256, (size, size, 3), dtype=np.uint8)
    with av.open(str(path), "w", options={"movflags": "faststart"}) as container:
        stream = container.add_stream("mpeg4", rate=RATE)
        stream.width = stream.height = size
        stream.pix_fmt = "yuv420p"
        for number in range(round(seconds * RATE)):
            pixels = ground.copy()
            pixels[number % size : number % size + 8, :16] = (number * 37) % 256
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame.pts = number
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def dump(path: Path, value: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value), "utf-8")


def table(path: Path, rows: list[dict[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(dict.fromkeys(name for row in rows for name in row)))
        writer.writeheader()
        writer.writerows(rows)


VIDEOMME_ROW: dict[str, Any] = {
    "video_id": "001",
    "duration": "short",
    "domain": "Knowledge",
    "sub_category": "Humanity & History",
    "url": "https://www.youtube.com/watch?v=fFjv93ACGo8",
    "videoID": "fFjv93ACGo8",
    "question_id": "001-1",
    "task_type": "Counting Problem",
    "question": "How many squares are there?",
    "options": ["A. None.", "B. One.", "C. Two.", "D. Three."],
    "answer": "B",
}


def videomme(folder: Path) -> None:
    rows = [
        VIDEOMME_ROW,
        {**VIDEOMME_ROW, "question_id": "001-2", "task_type": "OCR Problems", "answer": "D"},
        {**VIDEOMME_ROW, "question_id": "002-1", "videoID": "second", "duration": "long"},
    ]
    dump(folder / "videomme.json", rows)
    clip(folder / "data" / "fFjv93ACGo8.mp4")
    clip(folder / "data" / "second.mp4", 3)


def mlvu(folder: Path) -> None:
    row = {
        "video": "count_1.mp4",
        "duration": 6.0,
        "question": "How often does it move?",
        "candidates": ["Once", "Twice", "Never", "Ten times"],
        "answer": "Never",
        "question_type": "count",
    }
    dump(folder / "json" / "4_count.json", [row, {**row, "answer": "Once"}])
    plot = {**row, "video": "movie_1.mp4", "question_type": "plotQA"}
    dump(folder / "json" / "1_plotQA.json", [plot])
    clip(folder / "video" / "4_count" / "count_1.mp4")
    clip(folder / "video" / "1_plotQA" / "movie_1.mp4", 3)


LVB_ROW: dict[str, Any] = {
    "video_id": "86CxyhFV9MI",
    "question": "What moves when the subtitle says 'three'?",
    "question_wo_referring_query": "What moves?",
    "candidates": ["a square", "a circle", "a dog", "a cat", "nothing"],
    "correct_choice": 0,
    "position": [3],
    "topic_category": "KA-Knowledge-Art",
    "question_category": "T2O",
    "level": "IntraMoment",
    "id": "86CxyhFV9MI_0",
    "video_path": "86CxyhFV9MI.mp4",
    "subtitle_path": "86CxyhFV9MI_en.json",
    "duration_group": 15,
    "starting_timestamp_for_subtitles": 100,
    "duration": 6.0,
    "view_count": 7,
}


def longvideobench(folder: Path) -> None:
    other = {**LVB_ROW, "id": "86CxyhFV9MI_1", "question_category": "O3O", "correct_choice": 4}
    dump(folder / "lvb_val.json", [LVB_ROW, other])
    cues = [
        {"start": "00:01:00.000", "end": "00:01:02.000", "line": "before the clip"},
        {"start": "00:01:41.000", "end": "00:01:42.500", "line": "one"},
        {"start": "00:01:43.000", "end": "00:01:44.500", "line": "three"},
        {"start": "00:02:41.000", "end": "00:02:42.000", "line": "after the clip"},
    ]
    dump(folder / "subtitles" / "86CxyhFV9MI_en.json", cues)
    clip(folder / "videos" / "86CxyhFV9MI.mp4")


def egoschema(folder: Path) -> None:
    uids = ["001934bb-81bd-4cd8-a574-0472ef3f6678", "0074f737-11cb-497d-8d07-77c3a8127391"]
    rows = [
        {
            "q_uid": uid,
            "google_drive_id": "1",
            "question": "What is c doing?",
            **{f"option {i}": f"C does thing {i}." for i in range(5)},
        }
        for uid in uids
    ]
    dump(folder / "questions.json", rows)
    dump(folder / "subset_answers.json", {uids[1]: 3})
    for uid in uids:
        clip(folder / "videos" / f"{uid}.mp4", 3)


OVO_ROW: dict[str, Any] = {
    "id": 0,
    "task": "EPM",
    "video": "Ego4D/clips/a.mp4",
    "realtime": 4,
    "question": "What did I chop?",
    "answer": "meat",
    "options": ["eggplant", "meat", "onion", "carrot"],
    "gt": 1,
}


def ovobench(folder: Path) -> None:
    rows = [
        OVO_ROW,
        {**OVO_ROW, "id": 1, "task": "OCR", "realtime": 2, "gt": 0},
        {
            "id": 2,
            "task": "REC",
            "video": "Ego4D/clips/a.mp4",
            "activity": "raise the square",
            "test_info": [{"realtime": 1, "count": 0}, {"realtime": 5, "count": 2}],
        },
        {
            "id": 3,
            "task": "SSR",
            "video": "Ego4D/clips/a.mp4",
            "tutorial": "Move a square",
            "test_info": [{"realtime": 3, "step": "lift it", "type": 1}],
        },
        {
            "id": 4,
            "task": "CRR",
            "video": "Ego4D/clips/a.mp4",
            "question": "Where does it end?",
            "answer": "Below.",
            "ask_time": 1,
            "clue_time": 3,
            "test_info": [{"realtime": 1, "type": 0}, {"realtime": 20, "type": 1}],
        },
    ]
    dump(folder / "ovo_bench_new.json", rows)
    clip(folder / "src_videos" / "Ego4D" / "clips" / "a.mp4")


STREAMING_ROW: dict[str, Any] = {
    "question_id": "Real-Time Visual Understanding_sample_1_1",
    "task_type": "Object Perception",
    "question": "What is on the left right now?",
    "time_stamp": "00:00:02",
    "answer": "C",
    "options": "['A. A dog.', 'B. A cat.', \"C. It's a square.\", 'D. Nothing.']",
    "frames_required": "single",
    "temporal_clue_type": "Prior",
}


def streamingbench(folder: Path) -> None:
    second = {
        **STREAMING_ROW,
        "question_id": "Real-Time Visual Understanding_sample_1_2",
        "time_stamp": "00:05",
        "task_type": "Counting",
    }
    table(folder / "Real_Time_Visual_Understanding.csv", [STREAMING_ROW, second])
    sequential = [
        {
            **STREAMING_ROW,
            "question_id": f"Sequential Question Answering_sample_1_{number}",
            "task_type": "Sequential Question Answering",
            "time_stamp": f"0:00:0{number}",
        }
        for number in (1, 2)
    ]
    table(folder / "Sequential_Question_Answering.csv", sequential)
    proactive = {
        "question_id": "Proactive Output_sample_1_1",
        "task_type": "Proactive Output",
        "question": "When the square is below, say 'below'.",
        "time_stamp": "00:00:01",
        "ground_truth_time_stamp": "00:00:03",
        "ground_truth_output": "below",
        "frames_required": "single",
        "temporal_clue_type": "Subsequent",
    }
    table(folder / "Proactive_Output.csv", [proactive])
    for name in ("Real-Time Visual Understanding", "Sequential Question Answering", "proactive"):
        clip(folder / name / "sample_1" / "video.mp4")


def rvs(folder: Path) -> None:
    asked = [
        {"question": "What moved?", "answer": "A square.", "start_time": 0, "end_time": 2.5},
        {"question": "And now?", "answer": "It still moves.", "start_time": 3, "end_time": 5},
    ]
    video = {"video_id": "v1", "video_path": "data/rvs/ego/videos/v1.mp4", "duration": 6.0}
    dump(folder / "ego" / "ego4d_oe.json", [{**video, "conversations": asked}])
    clip(folder / "ego" / "videos" / "v1.mp4")
    dump(folder / "movie" / "movienet_oe.json", [{**video, "conversations": asked[:1]}])
    clip(folder / "movie" / "videos" / "v1.mp4", 3)


WRITE: dict[str, Callable[[Path], None]] = {
    "videomme": videomme,
    "mlvu": mlvu,
    "longvideobench": longvideobench,
    "egoschema": egoschema,
    "ovobench": ovobench,
    "streamingbench": streamingbench,
    "rvs": rvs,
}
