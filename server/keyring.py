"""The API keys that hold now: the file is read again whenever it has changed."""

import logging
import stat
import time
from pathlib import Path

from server.api_keys import FORM, ApiKey, KeysError, KeysFile, Secret, hashed, read

log = logging.getLogger(__name__)

_NOBODY = ApiKey("", "", [], 0.0, [Secret(hashed(""))])


class Keyring:
    """Raises KeysError for a file that cannot be used when it begins; later on the last good keys
    hold, and the operator is told."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen = self._looks()
        self._file = read(path)
        if not self._file.keys:
            log.warning("%s has no keys yet: nobody will be let in", path)
        self._warn_of_readers()

    @property
    def signing_secret(self) -> str:
        """Signs the tokens of all gateways that share the file."""
        return self._current().signing_secret

    def verify(self, key: str) -> ApiKey | None:
        """The key that this is the text of, or None. Takes as long for an id that is not there."""
        form = FORM.fullmatch(key)
        known = self._current().find(form[1]) if form else None
        good = (known or _NOBODY).accepts(key, time.time())
        return known if good else None

    def find(self, identity: str) -> ApiKey | None:
        """The key with this id, where it has not been revoked."""
        return self._current().find(identity)

    def _current(self) -> KeysFile:
        # Asked for every request: a key that was revoked is void with the next one.
        looks = self._looks()
        if looks != self._seen:
            self._seen = looks
            try:
                self._file = read(self._path)
            except KeysError as error:
                log.error("%s The keys read before it go on to hold.", error)
            else:
                log.info("%s has changed: it has %d keys", self._path, len(self._file.keys))
                self._warn_of_readers()
        return self._file

    def _looks(self) -> tuple[int, ...] | None:
        """What tells one state of the file from another."""
        try:
            found = self._path.stat()
        except OSError:
            return None
        return found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns

    def _warn_of_readers(self) -> None:
        try:
            mode = stat.S_IMODE(self._path.stat().st_mode)
        except OSError:
            return  # it was there just now; the next request notices
        if mode & (stat.S_IROTH | stat.S_IWGRP | stat.S_IWOTH):
            log.warning(
                "%s is open to other users of this machine (mode %o), who could make themselves "
                "tokens: chmod 600 it",
                self._path,
                mode,
            )
