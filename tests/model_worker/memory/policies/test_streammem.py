"""StreamMem: what is looked at stays, frames have prototypes, and what repeats is averaged."""

import torch

from model_worker.memory.policies.streammem import StreamMem
from model_worker.memory.rotation import turn
from tests.model_worker.memory.policies.memories import after, mark, noise

POLICY = StreamMem()
FRAME = 6


def test_what_the_template_looks_at_stays() -> None:
    tokens = noise(POLICY)
    tokens.attention.mul_(0.01)
    tokens.attention[0, 1, 2, [5, 17, 33]] = 0.3
    kept = POLICY.choose(tokens, FRAME, 20)
    assert torch.isin(torch.tensor([5, 17, 33]), kept[1, 2]).all()


def test_a_frame_that_loses_tokens_has_a_prototype() -> None:
    tokens = noise(POLICY)
    kept = POLICY.choose(tokens, FRAME, 20)
    keys, values = after(tokens, kept, POLICY.merge(tokens, kept))
    layer, head = 1, 2
    frame = slice(2 * FRAME, 3 * FRAME)
    attention = tokens.attention[0, layer, head, frame]
    top = 2 * FRAME + int(attention.argmax())
    slot = kept[layer, head].tolist().index(top)
    weights = attention / attention.sum()
    mean = (tokens.values[layer, head, frame] * weights[:, None]).sum(0)
    assert torch.allclose(values[layer, head, slot], mean, atol=1e-5)
    angles = tokens.turned()[layer, head]
    brought = turn(tokens.keys[layer, head, frame], angles[top] - angles[frame])
    assert torch.allclose(keys[layer, head, slot], (brought * weights[:, None]).sum(0), atol=1e-5)
    recent = slice(len(kept[0, 0]) - FRAME, None)
    assert torch.equal(values[:, :, recent], tokens.values[:, :, -FRAME:])


def test_frames_that_repeat_are_one_run_and_the_first_goes_on_as_their_mean() -> None:
    tokens = noise(POLICY)
    still = tokens.values[:, :, 2 * FRAME : 3 * FRAME].clone()
    for frame in (3, 4):
        tokens.values[:, :, frame * FRAME : (frame + 1) * FRAME] = still + 0.01 * frame
    tokens.marks.zero_()
    mark(POLICY, tokens, FRAME)
    numbers = tokens.marks[0, 0, 0, ::FRAME].tolist()
    assert numbers == [0, 1, 2, 2, 2, 3, 4, 5]
    kept = POLICY.choose(tokens, FRAME, 36)
    assert not ((kept >= 3 * FRAME) & (kept < 5 * FRAME)).any(), "the repeated frames go first"
    _, values = after(tokens, kept, POLICY.merge(tokens, kept))
    patch = kept[0, 0].tolist().index(2 * FRAME + 1)
    mean = still[0, 0, 1] + 0.01 * 7 / 3
    assert torch.allclose(values[0, 0, patch], mean, atol=1e-5)


def test_a_frame_that_is_whole_after_a_pass_has_no_prototype_yet() -> None:
    tokens = noise(POLICY)
    kept = torch.arange(48).expand(2, 3, 48)
    keys, values = after(tokens, kept, POLICY.merge(tokens, kept))
    assert torch.equal(values, tokens.values)
    assert torch.equal(keys, tokens.keys)
