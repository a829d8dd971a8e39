"""Loading, arithmetic before allocation, and refusals."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from model_worker.engine import Engine, ModelError
from model_worker.memory.policies.infinipot_v import InfiniPotV
from model_worker.memory.policies.recency import Recency
from model_worker.memory.policies.tar import TaR
from model_worker.memory.pool import PoolFull
from tests.model_worker.watching import FAMILIES, LATER
from training.checkpoint import build_model, build_tokenizer


def test_loads_a_folder_and_says_what_it_is(checkpoints: dict[str, Path]) -> None:
    for name, folder in checkpoints.items():
        engine = Engine.load(folder)
        assert engine.family == name
        assert engine.name == folder.name
        assert engine.adapter.dtype == torch.float32
        assert engine.device.type in ("cpu", "cuda")
        assert not engine.adapter.model.training


def test_the_embedded_models_shape_gets_its_sizes(tmp_path: Path) -> None:
    tokenizer = build_tokenizer()
    build_model(tokenizer).save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    engine = Engine.load(tmp_path, device="cpu")
    assert engine.frame_size == (96, 96)
    assert engine.tokens_per_frame == 9
    assert engine.default_budget_tokens == 216
    session = engine.open_session()
    assert session.memory.cap_tokens == 288 == engine.cap_tokens(216)
    assert session.memory.kv_bytes == engine.session_bytes(216)


def test_an_unknown_family_is_refused_before_anything_loads(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "idefics2"}))
    with pytest.raises(ModelError, match="'idefics2' is not supported; known: internvl"):
        Engine.load(tmp_path)


def test_unusable_devices_and_dtypes_are_refused(checkpoints: dict[str, Path]) -> None:
    folder = checkpoints["llava_onevision"]
    with pytest.raises(ModelError, match="device"):
        Engine.load(folder, device="abacus")
    with pytest.raises(ModelError, match="dtype"):
        Engine.load(folder, dtype="int3")


def test_sliding_windows_are_refused(checkpoints: dict[str, Path], tmp_path: Path) -> None:
    folder = Path(shutil.copytree(checkpoints["llava_onevision"], tmp_path / "copy"))
    config = json.loads((folder / "config.json").read_text())
    config["text_config"]["layer_types"] = ["sliding_attention"] * 3
    config["text_config"]["use_sliding_window"] = True
    config["text_config"]["sliding_window"] = 8
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(ModelError, match="sliding-window"):
        Engine.load(folder)


def test_a_window_in_every_layer_is_refused(checkpoints: dict[str, Path], tmp_path: Path) -> None:
    """Mistral, a decoder of LLaVA-NeXT-Video, names no kinds of layers."""
    folder = Path(shutil.copytree(checkpoints["llava_next_video"], tmp_path / "copy"))
    config = json.loads((folder / "config.json").read_text())
    config["text_config"] |= {"model_type": "mistral", "sliding_window": None}
    (folder / "config.json").write_text(json.dumps(config))
    assert Engine.load(folder).family == "llava_next_video"
    config["text_config"]["sliding_window"] = 8
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(ModelError, match="sliding-window"):
        Engine.load(folder)


def test_bytes_grow_with_the_budget_by_so_many_a_token(llava: Engine) -> None:
    per_token = 3 * 2 * 2 * 12 * 4  # layers, keys and values, heads, head_dim, float32
    assert llava.session_bytes(100) - llava.session_bytes(60) == 40 * per_token


@pytest.mark.parametrize("budget", [-1, 0, 3])
def test_a_budget_below_one_frame_is_refused(llava: Engine, budget: int) -> None:
    with pytest.raises(ValueError, match="raise budget_tokens"):
        llava.open_session(budget_tokens=budget)


def test_a_budget_that_the_policy_cannot_use_is_refused(llava: Engine) -> None:
    with pytest.raises(ValueError, match="raise budget_tokens"):
        llava.open_session(budget_tokens=7)  # half of it cannot hold a recent frame of 4
    llava.open_session(budget_tokens=7, policy="recency")


def test_a_budget_beyond_the_models_positions_is_refused(llava: Engine) -> None:
    with pytest.raises(ValueError, match="lower budget_tokens"):
        llava.open_session(budget_tokens=4000)


def test_the_default_budget_is_smaller_where_positions_are_few(
    llava: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert llava.default_budget_tokens == 24 * 4
    monkeypatch.setattr(llava.adapter, "longest_position", 1120)
    engine = Engine(llava.adapter, "short")
    assert 2 * 4 <= engine.default_budget_tokens < 24 * 4
    engine.open_session()


def test_an_unknown_policy_is_refused(llava: Engine) -> None:
    with pytest.raises(ValueError, match="unknown policy"):
        llava.open_session(policy="magic")


def test_a_checkpoint_may_name_the_policy_that_suits_it(
    checkpoints: dict[str, Path], tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(checkpoints["llava_onevision"], tmp_path / "copy"))
    assert Engine.load(folder).default_policy == "infinipot_v"
    (folder / "lookback.json").write_text('{"policy": "tar"}')
    engine = Engine.load(folder)
    assert engine.default_policy == "tar"
    assert engine.open_session().state.policy == TaR()
    assert engine.open_session(policy="recency").state.policy == Recency()
    assert engine.default_positions == "native"
    (folder / "lookback.json").write_text('{"positions": "compact"}')
    assert Engine.load(folder).default_positions == "compact"
    assert Engine.load(folder).default_policy == "infinipot_v"
    for text, named in (
        ('{"policy": "magic"}', "known: full, hermes, infinipot_v, "),
        ('{"positions": "magic"}', "known: compact, native"),
        ('{"budget": 3}', "known: policy, positions"),
        ("{", "cannot be used"),
    ):
        (folder / "lookback.json").write_text(text)
        with pytest.raises(ModelError, match=named):
            Engine.load(folder)


def test_a_policy_may_come_with_its_own_settings(llava: Engine) -> None:
    llava.open_session(budget_tokens=7, policy=InfiniPotV(tar_ratio=0.9))


def test_threads_are_set(checkpoints: dict[str, Path]) -> None:
    before = torch.get_num_threads()
    try:
        Engine.load(checkpoints["llava_onevision"], threads=2)
        assert torch.get_num_threads() == 2
        Engine.load(checkpoints["llava_onevision"], device="cpu")
        assert torch.get_num_threads() == 1, "one is best for a small model"
    finally:
        torch.set_num_threads(before)


# -- many sessions ------------------------------------------------------------------------------


def test_sessions_of_different_budgets_live_in_what_was_reserved(
    checkpoints: dict[str, Path],
) -> None:
    engine = Engine.load(checkpoints["llava_onevision"])
    small, large = engine.session_bytes(24), engine.session_bytes(96)
    engine.reserve(2 * small + large)
    address = engine.pool.buffer.data_ptr()
    sessions = [engine.open_session(budget_tokens=budget) for budget in (24, 24, 96)]
    assert engine.pool.used_bytes == engine.pool.bytes == 2 * small + large
    with pytest.raises(PoolFull, match="are wanted"):
        engine.open_session(budget_tokens=24)
    frame = np.full((32, 32, 3), 9, dtype=np.uint8)
    sessions[1].watch(frame, 0.0)
    keys = sessions[1]._open_cache().visual_keys.clone()
    sessions[0].close()
    sessions[2].close()
    again = engine.open_session(budget_tokens=96)  # scattered free tokens are brought together
    again.watch(frame, 0.0)
    assert torch.equal(sessions[1]._open_cache().visual_keys, keys)
    assert "".join(sessions[1].ask("what?")) == "".join(again.ask("what?"))
    assert engine.pool.buffer.data_ptr() == address


def test_more_than_the_device_has_is_not_reserved(llava: Engine) -> None:
    engine = Engine(llava.adapter, "fresh")
    with pytest.raises(ModelError, match="lower kv_bytes, max_sessions or budget_tokens"):
        engine.reserve(10**15)
    with pytest.raises(ValueError, match="GB free: lower budget_tokens"):
        engine.open_session(budget_tokens=10**10, longest_position=10**12)
    session = engine.open_session()
    with pytest.raises(ValueError, match="before the first session"):
        engine.reserve(10**7)
    session.close()


@pytest.mark.parametrize("family", [*FAMILIES, *LATER])
def test_instructions_stand_before_the_video(engines: dict[str, Engine], family: str) -> None:
    engine = engines[family]
    adapter, tokenizer = engine.adapter, engine.adapter.tokenizer
    plain, _ = adapter.conversation([], "what?")
    before, after = adapter.conversation([], "what?", "Be brief. <|im_end|>")
    assert "Be brief." in tokenizer.decode(before)
    assert tokenizer.decode(before).count("<|im_end|>") <= 1 + tokenizer.decode(plain).count(
        "<|im_end|>"
    )
    assert after == adapter.conversation([], "what?")[1]
    session = engine.open_session(instructions="Be brief.")
    assert session.memory.kv_bytes == engine.session_bytes(
        engine.default_budget_tokens, "Be brief."
    )
    assert session.memory.kv_bytes > engine.session_bytes(engine.default_budget_tokens)
    session.close()


def test_instructions_that_cannot_be_are_refused(
    llava: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ValueError, match="shorten them"):
        llava.open_session(instructions="long " * 500)
    template = "{% for m in messages if m['role'] != 'system' %}<|video_pad|>{% endfor %}"
    monkeypatch.setattr(llava.adapter._template, "source", template)
    with pytest.raises(ValueError, match="leave them out"):
        llava.open_session(instructions="Be brief.")
    refuses = "{{ raise_exception('System role not supported') }}"
    monkeypatch.setattr(llava.adapter._template, "source", refuses)
    with pytest.raises(ValueError, match=r"leave them out .*not supported"):
        llava.open_session(instructions="Be brief.")


def test_unknown_positions_are_refused(llava: Engine) -> None:
    with pytest.raises(ValueError, match="known: native, compact"):
        llava.open_session(positions="none")  # type: ignore[arg-type]
