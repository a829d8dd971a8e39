"""The tokenizer: every word has an id, and an id once shipped stays."""

import json
from pathlib import Path

import pytest
import torch

from training.checkpoint import LATER_WORDS, build_config, build_model, build_tokenizer
from training.export import export
from training.questions import ANSWER_FORMS, PHRASINGS
from training.tower import load

SHIPPED = Path(__file__).parents[2] / "models" / "lookback-mini"
UNKNOWN = 0


@pytest.mark.parametrize(
    "text", [*ANSWER_FORMS, *(f for forms in PHRASINGS.values() for f in forms)]
)
def test_every_word_of_questions_and_answers_is_known(text: str) -> None:
    tokenizer = build_tokenizer()
    named = text.replace("X", "clock")
    assert UNKNOWN not in tokenizer.encode(named)
    assert UNKNOWN not in tokenizer.encode(named[0].upper() + named[1:])


def test_every_id_that_was_shipped_stays() -> None:
    shipped = json.loads((SHIPPED / "tokenizer.json").read_text())["model"]["vocab"]
    now = build_tokenizer().get_vocab()
    assert {word: now.get(word) for word in shipped} == shipped
    config = json.loads((SHIPPED / "config.json").read_text())
    assert (
        build_config(build_tokenizer()).text_config.vocab_size
        == config["text_config"]["vocab_size"]
    )


def test_later_words_stand_last() -> None:
    tokenizer = build_tokenizer()
    ids = tokenizer.convert_tokens_to_ids(["\u2581" + word for word in LATER_WORDS])
    assert ids == list(range(len(tokenizer) - len(LATER_WORDS), len(tokenizer)))


def test_words_that_a_checkpoint_does_not_know_get_rows_of_their_own(tmp_path: Path) -> None:
    tokenizer = build_tokenizer()
    model = build_model(tokenizer)
    with torch.no_grad():
        model.get_input_embeddings().weight[len(tokenizer) - 2 :] = 0.5
    export(model, tokenizer, tmp_path)
    file = tmp_path / "tokenizer.json"
    content = json.loads(file.read_text())
    words = content["model"]["vocab"]
    content["model"]["vocab"] = {w: i for w, i in words.items() if i < len(words) - 2}
    file.write_text(json.dumps(content))

    before = model.get_input_embeddings().weight
    after = load(tmp_path)[0].get_input_embeddings().weight
    assert torch.equal(after[: len(words) - 2], before[: len(words) - 2])
    first, second = after[len(words) - 2], after[len(words) - 1]
    assert torch.nn.functional.cosine_similarity(first, second, dim=0).abs() < 0.5
    assert torch.equal(after[len(words) :], before[len(words) :])
