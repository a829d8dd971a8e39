"""A session's instructions are those with which it was made."""

import pytest

from messages.sessions import OpenSession
from server.errors import ClientError
from server.fixed import check_fixed


@pytest.mark.parametrize(
    ("fixed", "given", "same"),
    [
        (None, None, True),
        ("Be brief.", None, True),
        ("Be brief.", " Be brief.\n", True),
        (None, "", True),
        ("Be brief.", "", False),
        (None, "Be brief.", False),
    ],
)
def test_others_are_refused(fixed: str | None, given: str | None, same: bool) -> None:
    wanted = OpenSession("s", instructions=fixed)
    if same:
        check_fixed(wanted, given, "param")
        return
    with pytest.raises(ClientError) as refused:
        check_fixed(wanted, given, "session.instructions")
    assert (refused.value.code, refused.value.param) == ("session_fixed", "session.instructions")
