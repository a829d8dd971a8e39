"""A session is shown in our shape and in the Realtime API's, with the same contents."""

from messages.sessions import OpenSession, SessionOpened
from server.portrait import described, realtime


def test_both_shapes_hold_the_same() -> None:
    opened = SessionOpened("s", "m", 64, 96, 1000, "w", (96, 96), 9216)
    ours = described(OpenSession("s", 64, "Be short."), opened, 2.0)
    theirs = realtime(ours, "inf")
    assert theirs.pop("lookback") | theirs | {"object": "realtime.session"} == {
        **ours,
        "type": "realtime",
        "output_modalities": ["text"],
        "max_output_tokens": "inf",
    }
    assert (ours["frame_size"], ours["sampled_per_second"]) == ((96, 96), 2.0)
