"""The second edition's words stand after the first's, and weights go on from them."""

import json
from pathlib import Path

import torch

from training import checkpoint as first
from training.checkpoint import build_model
from training.edition2.checkpoint import build_tokenizer
from training.edition2.tower import begin
from training.export import export

MODELS = Path(__file__).parents[3] / "models"


def test_ids_of_the_first_edition_and_of_what_is_shipped_stay() -> None:
    now = build_tokenizer().get_vocab()
    shipped = json.loads((MODELS / "lookback-mini" / "tokenizer.json").read_text())
    for words in (first.build_tokenizer().get_vocab(), shipped["model"]["vocab"]):
        assert {word: now.get(word) for word in words} == words


def test_weights_of_the_first_edition_are_taken_along(tmp_path: Path) -> None:
    tokenizer = first.build_tokenizer()
    older = build_model(tokenizer)
    export(older, tokenizer, tmp_path)
    newer = begin(tmp_path)
    known = len(tokenizer)
    old_table, table = (m.get_input_embeddings().weight for m in (older, newer))
    assert len(table) > len(old_table)
    assert torch.equal(table[:known], old_table[:known])
    fresh = table[known : known + 2]
    assert torch.nn.functional.cosine_similarity(fresh[0], fresh[1], dim=0).abs() < 0.5
    layer = "model.language_model.layers.3.mlp.up_proj.weight"
    assert torch.equal(newer.state_dict()[layer], older.state_dict()[layer])
    assert newer.lm_head.weight is table
