"""The hash of a template is that of what it makes of a conversation."""

from pathlib import Path

import pytest

from model_worker.engine import Engine
from model_worker.identity import identify_template


def test_families_differ_and_stay_the_same(
    engines: dict[str, Engine], checkpoints: dict[str, Path]
) -> None:
    found = {name: identify_template(engine.adapter) for name, engine in engines.items()}
    assert len({found["llava_onevision"], found["qwen2_vl"], found["internvl"]}) == 3
    again = Engine.load(checkpoints["internvl"])
    assert identify_template(again.adapter) == found["internvl"] == again.identity.template


def test_words_of_the_template_count(llava: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    before = identify_template(llava.adapter)
    template = llava.adapter.tokenizer.chat_template
    monkeypatch.setattr(llava.adapter._template, "source", template + "{# a remark #}")
    assert identify_template(llava.adapter) == before
    monkeypatch.setattr(llava.adapter._template, "source", template.replace("assistant", "oracle"))
    assert identify_template(llava.adapter) != before
