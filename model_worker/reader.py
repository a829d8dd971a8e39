"""The broker's side that is read: orders, frames, and sessions that wait for a worker."""

import logging
import threading
from collections.abc import Callable
from typing import Final

from redis import Redis
from redis.exceptions import RedisError

from messages import keys
from messages.codec import MalformedMessage, ToGateway, decode_frame, decode_to_worker
from messages.sessions import OpenSession, SessionClosed, SessionRecord
from model_worker.hand import Hand
from model_worker.importer import Importer
from model_worker.leases import Lease, Leases
from model_worker.line import Line
from model_worker.mailbox import Mailbox, Resume
from model_worker.memory.container import SnapshotError
from model_worker.outage import Outage
from model_worker.snapshot_header import INBOX
from model_worker.snapshot_reader import SnapshotReader
from model_worker.store import StoreError

log = logging.getLogger(__name__)

READ_MILLISECONDS: Final = 500
_CRASHED: Final = (
    "This session ended {} workers in a row and was closed: the process of each stopped while it "
    "had the session. What it was shown or asked last is the likeliest cause; the workers' logs "
    "may say more. Begin a new session."
)


class Reader:
    """Fills the mailbox. snapshot: a session's memory as it was last written, where it was; may
    raise StoreError. emit: takes what a session's clients are to hear."""

    def __init__(
        self,
        client: "Redis",
        leases: Leases,
        line: Line,
        mailbox: Mailbox,
        snapshot: Callable[[str], bytes | None],
        emit: Callable[[ToGateway], None],
        hand: Hand,
    ) -> None:
        self._client = client
        self._leases = leases
        self._line = line
        self._mailbox = mailbox
        self._snapshot = snapshot
        self._emit = emit
        self._hand = hand
        self._importer = Importer(client, mailbox)
        self._woken_at = _newest(client, keys.WAKE)

    def run(self, stopping: threading.Event) -> None:
        """Reads until then."""
        outage = Outage("reading")
        while not stopping.is_set():
            try:
                while (taken := self._line.next()) is not None:
                    self._take(*taken)
                self._read()
                outage.over()
            except RedisError as error:
                stopping.wait(outage.seconds(error))

    def _take(self, lease: Lease, record: SessionRecord) -> None:
        if lease.deadly:
            self._give_up(lease)
        elif record.opened is not None:
            self._resume(lease, record.wanted)
        elif record.imported is not None:
            self._importer.fetch(record.wanted, record.imported)
        else:
            self._mailbox.put(record.wanted)

    def _give_up(self, lease: Lease) -> None:
        """It ends here, before it ends this worker, too."""
        log.error("session %.8s ended %d workers: it is closed", lease.session, lease.deaths)
        self._emit(SessionClosed(lease.session, "crashed", _CRASHED.format(lease.deaths)))

    def _resume(self, lease: Lease, wanted: OpenSession) -> None:
        """Where the last owner has said until where it read the orders, they are read from there
        on; otherwise they have failed with it, and the session's gateway says so."""
        problem, snapshot = "", None
        try:
            data = self._snapshot(lease.session)
            with self._hand.holding(lease.session if lease.deaths else None):
                snapshot = None if data is None else SnapshotReader(data)
        except (StoreError, SnapshotError) as error:
            problem = str(error)
            log.warning("session %.8s: its snapshot cannot be used: %s", lease.session, error)
        read_to = snapshot.header.notes.get(INBOX) if snapshot is not None else None
        if isinstance(read_to, str):
            lease.inbox_from = read_to.encode()
        else:
            lease.inbox_from = _newest(self._client, keys.inbox(lease.session))
        self._mailbox.put(Resume(wanted, snapshot, problem, lease.deaths))

    def _read(self) -> None:
        followed: dict[str, Lease] = {}
        positions: dict[str, bytes] = {keys.WAKE: self._woken_at}
        for lease in self._leases.all():
            if not lease.handing_over:
                inbox, frames = keys.inbox(lease.session), keys.frames(lease.session)
                followed |= {inbox: lease, frames: lease}
                positions |= {inbox: lease.inbox_from, frames: lease.frames_from}
        reply = self._client.xread(positions, block=READ_MILLISECONDS)
        for name, entries in reply:
            stream = name.decode()
            for position, fields in entries:
                if stream == keys.WAKE:
                    self._woken_at = position
                    continue
                lease, inbox = followed[stream], stream == keys.inbox(followed[stream].session)
                self._receive(lease, fields.get(keys.FIELD, b""), is_order=inbox)
                if inbox:
                    lease.inbox_from = position
                else:
                    lease.frames_from = position

    def _receive(self, lease: Lease, data: bytes, *, is_order: bool) -> None:
        try:
            message = decode_to_worker(data) if is_order else decode_frame(data)
        except MalformedMessage as error:
            log.warning("%.8s: left out a message that is none of ours: %s", lease.session, error)
            return
        if message.session != lease.session or lease.session not in self._leases:
            return
        if is_order:
            self._mailbox.put(message)  # type: ignore[arg-type]  # by is_order
        else:
            self._mailbox.put_frame(message)  # type: ignore[arg-type]


def _newest(client: "Redis", stream: str) -> bytes:
    """The id after which to read: what was said before is for nobody here."""
    entries = client.xrevrange(stream, count=1)
    return bytes(entries[0][0]) if entries else b"0"
