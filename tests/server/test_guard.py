"""Which pages may use the gateway."""

import pytest

from server.guard import Guard


async def _nothing(*_: object) -> None: ...


@pytest.mark.parametrize(
    ("origin", "host", "welcome"),
    [
        ("http://127.0.0.1:8400", "127.0.0.1:8400", True),
        ("https://cam.example", "cam.example", True),
        ("https://cam.example", "cam.example:443", True),
        ("https://cam.example:443", "CAM.example", True),
        ("http://[::1]:8400", "[::1]:8400", True),
        ("http://127.0.0.1:8401", "127.0.0.1:8400", False),
        ("http://localhost:8400", "127.0.0.1:8400", False),
        ("https://evil.example", "cam.example", False),
        ("https://cam.example.evil.example", "cam.example", False),
        ("https://cam.example@evil.example", "cam.example", False),
        ("null", "null", False),
        ("", "", False),
        ("http://[", "[", False),
        ("http://x:99999999", "x:99999999", False),
        ("https://friend.example", "cam.example", True),
        ("https://FRIEND.example", "cam.example", True),
        ("http://friend.example", "cam.example", False),
    ],
)
def test_only_its_own_pages_and_those_allowed(origin: str, host: str, welcome: bool) -> None:
    guard = Guard(_nothing, ["https://friend.example/"])
    assert guard._welcome(origin, host) is welcome
