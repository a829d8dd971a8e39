"""Families and checkpoints by arithmetic: figures are those of the engine, without weights."""

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import torch
from typer.testing import CliRunner

from lookback.cli import app
from lookback.models import FAMILIES, inspect, published
from lookback.published import PUBLISHED
from model_worker import families
from model_worker.checkpoint import describe_checkpoint
from model_worker.engine import Engine
from model_worker.families import find_family
from model_worker.settings import SHIPPED_MODEL
from tests.lookback.conftest import ROOT, command
from tests.model_worker.conftest import BUILDERS

# The towers of the published checkpoints, in the names of their configs.
TOWERS: dict[str, dict[str, Any]] = {
    "llava_onevision": {"image_size": 384, "patch_size": 14},
    "llava_next_video": {"image_size": 336, "patch_size": 14},
    "HuggingFaceTB/SmolVLM2-500M-Video-Instruct": {"image_size": 512, "patch_size": 16, "scale": 4},
    "HuggingFaceTB/SmolVLM2-2.2B-Instruct": {"image_size": 384, "patch_size": 14, "scale": 3},
    "internvl": {"image_size": [448, 448], "patch_size": [14, 14]},
}


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A tiny checkpoint of each family, without its weights."""
    made = {}
    for name, build in BUILDERS.items():
        model, tokenizer = build()
        made[name] = tmp_path_factory.mktemp(name)
        model.config.save_pretrained(made[name])
        tokenizer.save_pretrained(made[name])
    return made


def models(*arguments: str) -> tuple[int, str]:
    done = CliRunner().invoke(app, ["models", *arguments], env={"COLUMNS": "240"})
    return done.exit_code, done.output


def test_every_family_is_described_and_has_a_published_checkpoint() -> None:
    assert set(FAMILIES) == set(families.FAMILIES)
    assert {known.model_type for known in PUBLISHED} == set(FAMILIES)


def test_families_are_listed_with_the_shipped_model_first() -> None:
    status, text = models()
    assert status == 0
    assert text.index("lookback-mini") < text.index(PUBLISHED[0].name)
    for known in PUBLISHED:
        assert known.name in text
    for family in FAMILIES.values():
        assert family.title in text
        assert family.time in text


@pytest.mark.parametrize("family", BUILDERS)
def test_a_checkpoint_without_weights_says_what_it_will_keep(
    family: str, folders: dict[str, Path]
) -> None:
    folder = folders[family]
    assert not list(folder.glob("*.safetensors"))
    row = inspect(str(folder), None, 2.0, "float32", None)
    assert (row.model_type, row.exact, row.name) == (family, True, folder.name)
    assert (row.layers, row.kv_heads, row.head_dim) == (3, 2, 12)
    assert row.kv_bytes_per_token == 3 * 2 * 2 * 12 * 4
    assert row.seconds_remembered == row.frames_remembered / 2.0
    assert row.frames_remembered == 24 * row.frames_per_unit


@pytest.mark.parametrize("family", BUILDERS)
def test_the_bytes_are_those_of_a_session(family: str, folders: dict[str, Path]) -> None:
    """Of the engine with weights, whose memory is a real one."""
    torch.manual_seed(0)
    model, _ = BUILDERS[family]()
    checkpoint = describe_checkpoint(folders[family], torch.float32)
    object.__setattr__(checkpoint, "model", model.eval())
    engine = Engine(find_family(family)(checkpoint), family)
    session = engine.open_session()
    row = inspect(str(folders[family]), None, 1.0, "float32", None)
    assert row.budget_tokens == session.memory.budget_tokens
    assert row.kv_bytes_per_session == session.memory.kv_bytes
    session.close()


@pytest.mark.parametrize("known", PUBLISHED, ids=lambda known: known.name)
def test_published_tokens_are_those_that_the_family_makes(
    known: Any, folders: dict[str, Path], tmp_path: Path
) -> None:
    for file in folders[known.model_type].iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    config = json.loads((tmp_path / "config.json").read_text())
    tower = dict(TOWERS.get(known.name) or TOWERS.get(known.model_type) or {})
    if scale := tower.pop("scale", None):
        config["scale_factor"] = scale
    config["vision_config"] |= tower
    (tmp_path / "config.json").write_text(json.dumps(config))
    adapter = find_family(known.model_type)(describe_checkpoint(tmp_path, torch.bfloat16))
    assert adapter.most_tokens_per_unit - sum(adapter.text_room) == known.visual_tokens
    assert adapter.frames_per_unit == known.frames_per_unit


def test_a_published_row_is_arithmetic() -> None:
    known = next(known for known in PUBLISHED if known.name == "Qwen/Qwen2.5-VL-7B-Instruct")
    row = published(known, 6000, 0.5, "bfloat16")
    assert row.kv_bytes_per_token == 28 * 2 * 4 * 128 * 2
    assert row.kv_bytes_per_session == 6000 * row.kv_bytes_per_token
    assert row.frames_remembered == 82  # 41 units of 144 tokens and two frames
    assert row.seconds_remembered == 164.0
    assert published(known, 143, 1.0, "float32").frames_remembered == 0


@pytest.mark.parametrize("budget", [5, 600_000])
def test_a_budget_that_a_checkpoint_cannot_have_is_refused(budget: int) -> None:
    status, text = models(str(SHIPPED_MODEL), "--budget", str(budget))
    assert status == 2
    assert f"a budget of {budget} tokens is" in text
    status, text = models("--budget", str(budget), "--json")
    assert status == 0
    budgets = [row["budget_tokens"] for row in json.loads(text)["models"]]
    assert budgets == [216] + [budget] * len(PUBLISHED)


def test_json_is_one_object(folders: dict[str, Path]) -> None:
    status, text = models(str(folders["qwen3_vl"]), "--json", "--fps", "2", "--budget", "999")
    assert status == 0
    report = json.loads(text)
    (row,) = report["models"]
    assert (report["fps"], report["dtype"], row["budget_tokens"]) == (2.0, "bfloat16", 999)
    assert row["tokens_per_frame"] * row["frames_per_unit"] == row["tokens_per_unit"]
    assert row["tokens_per_unit"] > 144  # the words around it count


def test_a_hub_id_is_found_in_the_cache_that_a_variable_names(
    folders: dict[str, Path], tmp_path: Path
) -> None:
    commit = "0123456789abcdef0123456789abcdef01234567"
    kept = tmp_path / "models--owner--tiny"
    (kept / "refs").mkdir(parents=True)
    (kept / "refs" / "v1").write_text(commit)
    shutil.copytree(folders["qwen2_5_vl"], kept / "snapshots" / commit)
    done = subprocess.run(
        command("models", "owner/tiny", "--revision", "v1", "--json"),
        env=os.environ | {"HF_HUB_CACHE": str(tmp_path), "HF_HUB_OFFLINE": "1"},
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["models"][0]["name"] == "owner/tiny"
    assert done.stderr == ""


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nowhere"], "nowhere is no folder"),
        (["--fps", "0"], "--fps is above 0"),
        (["--budget", "0"], "--budget is at least 1"),
        (["--dtype", "float8"], "known: bfloat16, float16, float32"),
        ([str(ROOT / "models" / "lookback-mini"), "--revision", "v1"], "leave the revision out"),
    ],
)
def test_refusals_are_one_line(arguments: list[str], words: str) -> None:
    status, text = models(*arguments)
    assert status != 0
    assert words in text
    assert len(text.splitlines()) == 1
