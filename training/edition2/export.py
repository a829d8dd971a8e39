"""Writes a state of the second edition's decoder as a Hugging Face folder.

python -m training.edition2.export --state runs/edition2/decoder/state.pt --out FOLDER
"""

import argparse
from pathlib import Path

import torch

from training.checkpoint import build_model
from training.edition2.checkpoint import build_tokenizer
from training.export import export


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--state", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    tokenizer = build_tokenizer()
    model = build_model(tokenizer)
    state = torch.load(args.state, weights_only=True)["stage"]
    own = {k.removeprefix("model."): v for k, v in state.items() if k.startswith("model.")}
    model.load_state_dict(own)
    export(model, tokenizer, args.out)


if __name__ == "__main__":
    main()
