"""A session's snapshot is fetched whole before the model's thread hears of it."""

from collections.abc import Iterator
from typing import Any

import pytest

from broker.connection import connect
from broker.embedded import EmbeddedBroker
from messages import keys
from messages.codec import encode
from messages.files import Imported, Piece
from messages.sessions import OpenSession
from model_worker.engine import Engine
from model_worker.importer import Importer
from model_worker.mailbox import Import, Mailbox


@pytest.fixture
def client() -> Iterator[Any]:
    with EmbeddedBroker() as broker, connect(broker.url) as made:
        yield made


def fetched(client: Any, *pieces: bytes, seconds: float = 20.0) -> Import:
    mailbox = Mailbox()
    Importer(client, mailbox, seconds).fetch(OpenSession("s"), Imported("c", None, 0, 0.0))
    for piece in pieces:
        client.rpush(keys.file("c"), piece)
    [mail] = mailbox.take(20)
    assert isinstance(mail, Import) and mail.session == "s"
    return mail


def test_a_snapshot_arrives_in_pieces(client: Any, llava: Engine) -> None:
    session = llava.open_session()
    file = b"".join(llava.snapshot(session))
    session.close()
    cut = [encode(Piece(file[start : start + 1000])) for start in range(0, len(file), 1000)]
    mail = fetched(client, *cut, encode(Piece(last=True)))
    assert mail.snapshot is not None and not mail.problem
    llava.restore(mail.snapshot).close()


@pytest.mark.parametrize(
    ("piece", "words"),
    [
        (encode(Piece(last=True)), "is empty"),
        (encode(Piece(b"GIF89a and more", last=True)), "no snapshot"),
        (encode(Piece(problem="the gateway stops", last=True)), "the gateway stops"),
        (b"\xff", "expected"),
    ],
)
def test_what_is_none_has_a_reason(client: Any, piece: bytes, words: str) -> None:
    mail = fetched(client, piece)
    assert mail.snapshot is None
    assert words in mail.problem.lower()


def test_a_file_that_breaks_off_is_not_waited_for_for_ever(client: Any) -> None:
    mail = fetched(client, encode(Piece(b"\x89LBMEM")), seconds=0.5)
    assert "did not come" in mail.problem
