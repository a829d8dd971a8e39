"""What callers may be allowed to."""

from typing import Final, Literal, get_args

Scope = Literal["publish", "ask", "manage", "observe"]
"""publish: be a session's camera. ask: questions and answers. manage: make and close sessions.
observe: metrics, and the state of all that runs here."""
SCOPES: Final[frozenset[Scope]] = frozenset(get_args(Scope))
