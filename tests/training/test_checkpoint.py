"""An id once shipped stays, and weights go on from a checkpoint that knows fewer words."""

import json
from pathlib import Path

import torch

from training.checkpoint import build_config, build_model, build_tokenizer
from training.export import export
from training.tower import begin
from training.vocabulary import VOCABULARY

SHIPPED = Path(__file__).parents[2] / "models" / "lookback-mini"


def test_no_word_has_two_ids() -> None:
    assert len(VOCABULARY) == len(set(VOCABULARY))


def test_every_id_that_was_shipped_stays() -> None:
    shipped = json.loads((SHIPPED / "tokenizer.json").read_text())["model"]["vocab"]
    tokenizer = build_tokenizer()
    now = tokenizer.get_vocab()
    assert {word: now.get(word) for word in shipped} == shipped
    config = json.loads((SHIPPED / "config.json").read_text())
    size = config["text_config"]["vocab_size"]
    assert build_config(tokenizer).text_config.vocab_size == size


def test_words_that_a_checkpoint_does_not_know_get_rows_of_their_own(tmp_path: Path) -> None:
    tokenizer = build_tokenizer()
    older = build_model(tokenizer)
    export(older, tokenizer, tmp_path)
    file = tmp_path / "tokenizer.json"
    content = json.loads(file.read_text())
    known = len(tokenizer) - 2
    words = content["model"]["vocab"]
    content["model"]["vocab"] = {word: i for word, i in words.items() if i < known}
    file.write_text(json.dumps(content))
    newer = begin(tmp_path)
    old_table, table = (m.get_input_embeddings().weight for m in (older, newer))
    assert torch.equal(table[:known], old_table[:known])
    fresh = table[known : known + 2]
    assert torch.nn.functional.cosine_similarity(fresh[0], fresh[1], dim=0).abs() < 0.5
    assert not torch.equal(fresh, old_table[known : known + 2])
    layer = "model.language_model.layers.3.mlp.up_proj.weight"
    assert torch.equal(newer.state_dict()[layer], older.state_dict()[layer])
    assert newer.lm_head.weight is table
