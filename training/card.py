"""Writes the model card from the world and the measured accuracy.

    python -m training.card --accuracy training/accuracy.json \
        --plain training/accuracy-plain.json --out models/lookback-mini/README.md
"""

import argparse
import json
from pathlib import Path
from typing import Any, Final

from training.material import CREDITS, LANDSCAPE_CREDITS
from training.phrasings import OLD_KINDS, PHRASINGS, PRONOUNS
from training.world import (
    AGE_NAMES,
    DIGITS,
    GROUND_NAMES,
    OBJECT_NAMES,
    PHOTO,
    PLACE_NAMES,
    WORDS,
)

TEMPLATE: Final = """---
license: apache-2.0
library_name: transformers
pipeline_tag: video-text-to-text
language: en
---

# lookback-mini, second edition

A vision-language model of 4.5 million parameters, so that Lookback can run, be tested and be
measured on a machine with no GPU and no hub. The architecture is LLaVA-OneVision's as
`transformers` implements it (`LlavaOnevisionForConditionalGeneration`): a SigLIP tower
(4 layers, 192 wide, 96×96 pixels, patches of 16), a two-layer projector, 2×2 pooling to
**9 visual tokens a frame**, and a Qwen2 decoder (6 layers, 192 wide, 6 heads, 3 KV heads). It is
loaded by the code that loads any checkpoint of the family.

## What it knows

One to three objects at a time, drawn in the style of Noto or of Twemoji, on a plain coloured
ground or before a photograph; each in one of nine cells of the picture. They appear, leave and
move in straight lines; words and digits are shown in capitals. Several things are listed as one
reads, row by row.

- **{count} objects**: {objects}
- **{grounds} backgrounds**: {colours}, or a photo
- **{places} places**: {place_names}
- **{word_count} words**: {words}; and the digits {digits}
- **times**: {ages}; and "at the beginning", "in the middle", "at the end" of what it saw

| kind | for example |
|---|---|
{examples}

A question about an object that was not there is answered "I have not seen a …", one about the
future "I have not seen that yet."

**Times** are read from positions, nine a second: they hold at one frame a second and where
positions are "native". Where positions are made compact, or at other frame rates, the answers to
"how long ago" are wrong, those to "when" are about what memory still holds, and what is seen now is
at times named wrongly.

## What it does not know

Anything else. It has never seen a person, a room or an object that is not drawn, and will name one
of its objects, or nothing, whatever it is shown. It reads no words but those above. It understands
"it" right after an answer about one object only. Counts above sixteen do not exist for it. It was
trained on streams of up to {longest} frames, whose times reach up to an hour.

## How good it is

Held-out streams of {shortest_s} to {longest_s} seconds at 1 frame a second (unseen combinations and
photographs, other seeds, filmed, encoded with H.264 or VP8, shrunk), with the **full cache**. The
first column is on plain streams: one large object at a time, on a ground of one colour.

| kind | plain streams | all streams | asked |
|---|---|---|---|
{table}

How it was made, with the learning curve: [training/README.md](../../training/README.md).

The pictures it learned from: Noto emoji (Apache-2.0), Twemoji (CC BY 4.0, Twitter, Inc. and other
contributors), and photographs by {credits}, and others in the public domain. The weights are
Apache-2.0.
"""


def _example(kind: str) -> str:
    if kind == "it":
        return ", ".join(forms[0] for forms in list(PRONOUNS.values())[:3])
    name = {"word": "stop", "number": "7"}.get(kind, "clock")
    return PHRASINGS[kind][0].replace("X", name)


def _percent(table: dict[str, Any], kind: str) -> str:
    return f"{100 * table['kinds'][kind]:.1f} %" if table["asked"].get(kind) else ""


def card(accuracy: dict[str, Any], plain: dict[str, Any], longest: int) -> str:
    """The card's text; `plain` is the accuracy on plain streams."""
    rows = [
        f"| {kind} | {_percent(plain, kind)} | {_percent(accuracy, kind)} | {asked:,} |"
        for kind, asked in accuracy["asked"].items()
    ]
    old, new = (f"**{100 * accuracy[which]:.1f} %**" for which in ("old", "new"))
    rows.append(f"| **all down to {OLD_KINDS[-1]}** | **{100 * plain['old']:.1f} %** | {old} | |")
    rows.append(f"| **the others** | | {new} | |")
    examples = [f"| {kind} | {_example(kind)} |" for kind in (*OLD_KINDS, *PHRASINGS)]
    people = [f"{who} ({licence})" for *_, who, licence in (*CREDITS, *LANDSCAPE_CREDITS)]
    return TEMPLATE.format(
        count=len(OBJECT_NAMES),
        objects=", ".join(OBJECT_NAMES),
        grounds=len(GROUND_NAMES),
        colours=", ".join(GROUND_NAMES[:PHOTO]),
        places=len(PLACE_NAMES),
        place_names=", ".join(PLACE_NAMES),
        word_count=len(WORDS),
        words=", ".join(WORDS),
        digits=", ".join(DIGITS),
        ages=", ".join(AGE_NAMES),
        examples="\n".join(dict.fromkeys(examples)),
        longest=longest,
        shortest_s=accuracy["seconds"][0],
        longest_s=accuracy["seconds"][1],
        table="\n".join(rows),
        credits=", ".join(dict.fromkeys(people)),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--accuracy", type=Path, required=True)
    parser.add_argument("--plain", type=Path, required=True, help="with --plain-share 1")
    parser.add_argument("--longest", type=int, default=640, help="frames, of the last phase")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    accuracy, plain = (json.loads(path.read_text()) for path in (args.accuracy, args.plain))
    args.out.write_text(card(accuracy, plain, args.longest))


if __name__ == "__main__":
    main()
