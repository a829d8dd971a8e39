"""API keys as a file: who may use the gateways. `lookback keys` writes it, gateways read it.

Knows nothing about requests.
"""

import contextlib
import fcntl
import hashlib
import os
import re
import secrets
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final, Literal

import msgspec

from server.scopes import SCOPES, Scope

FORM: Final = re.compile(r"lb_([0-9a-f]{8})_([A-Za-z0-9_-]{43})")
"""`lb_<id>_<secret>`: the id is no secret, the secret has 256 random bits."""
_NAME: Final = re.compile(r"[\w.@-][\w .@-]{0,63}")
_SIGNING_BYTES: Final = 32


class KeysError(ValueError):
    """A file of keys cannot be used, or a change to it cannot be made; the message says why."""


class Secret(msgspec.Struct, forbid_unknown_fields=True):
    """One secret of a key, by its hash. expires_at: Unix seconds; None: until it is replaced."""

    sha256: str
    expires_at: float | None = None


class ApiKey(msgspec.Struct, forbid_unknown_fields=True):
    """created_at: Unix seconds. The last of the secrets is the newest."""

    id: str
    name: str
    scopes: list[Scope]
    created_at: float
    secrets: list[Secret]

    def accepts(self, key: str, now: float) -> bool:
        """Whether this is one of its keys, in constant time (now: Unix seconds)."""
        digest = hashed(key)
        # All of them are compared, so that time does not tell which one came close.
        same = [secrets.compare_digest(digest, secret.sha256) for secret in self.secrets]
        live = [s.expires_at is None or now < s.expires_at for s in self.secrets]
        return any(a and b for a, b in zip(same, live, strict=True))


class KeysFile(msgspec.Struct, forbid_unknown_fields=True):
    """signing_secret signs session tokens: gateways that share the file take each other's."""

    version: Literal[1]
    signing_secret: str
    keys: list[ApiKey]

    def find(self, identity: str) -> ApiKey | None:
        """The key with this id."""
        return next((key for key in self.keys if key.id == identity), None)

    def called(self, name: str) -> ApiKey:
        """The key with this name or id. Raises KeysError."""
        for key in self.keys:
            if name in (key.name, key.id):
                return key
        raise KeysError(f"There is no key {name!r}: `lookback keys list` shows those there are.")

    def create(self, name: str, scopes: frozenset[Scope]) -> str:
        """A new key, which is shown here only. Raises KeysError."""
        if not _NAME.fullmatch(name):
            raise KeysError(
                f"{name!r} is no name for a key: take 1 to 64 letters, digits, spaces or .@_-"
            )
        if any(name in (key.name, key.id) for key in self.keys):
            raise KeysError(
                f"There is a key {name!r} already: take another name, or give it a new secret "
                f"with `lookback keys rotate`."
            )
        identity = secrets.token_hex(4)
        while self.find(identity) is not None:
            identity = secrets.token_hex(4)
        made = _text(identity)
        secret = Secret(hashed(made))
        self.keys.append(ApiKey(identity, name, sorted(scopes), int(time.time()), [secret]))
        return made

    def rotate(self, name: str, grace_seconds: float) -> str:
        """A new secret for this key; what was valid stays so for the grace. Raises KeysError."""
        key = self.called(name)
        now = time.time()
        for secret in key.secrets:
            ends = now + grace_seconds
            secret.expires_at = ends if secret.expires_at is None else min(secret.expires_at, ends)
        made = _text(key.id)
        live = [s for s in key.secrets if s.expires_at is None or now < s.expires_at]
        key.secrets = [*live, Secret(hashed(made))]
        return made

    def revoke(self, name: str) -> ApiKey:
        """Takes the key away, and with it the tokens that it signed. Raises KeysError."""
        key = self.called(name)
        self.keys.remove(key)
        return key


def hashed(key: str) -> str:
    """A key at rest. Passwords need slow and salted hashes because they can be guessed; 256 random
    bits cannot, and every request is compared."""
    return hashlib.sha256(key.encode()).hexdigest()


def _text(identity: str) -> str:
    return f"lb_{identity}_{secrets.token_urlsafe(32)}"


def read(path: Path) -> KeysFile:
    """Raises KeysError, whose message repeats nothing of what is in the file."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise KeysError(
            f"The API keys in {path} cannot be read ({error.strerror}): name the file that "
            "`lookback keys create` wrote in LOOKBACK_API_KEYS_FILE, and let this user read it."
        ) from error
    try:
        file = msgspec.json.decode(data, type=KeysFile)
        _check(file)
    except (msgspec.DecodeError, UnicodeDecodeError, ValueError) as error:
        raise KeysError(f"{path} is no file of API keys ({error}).") from error
    return file


def _check(file: KeysFile) -> None:
    """Raises ValueError for what `lookback keys` would not have written."""
    if len(file.signing_secret) < _SIGNING_BYTES:
        raise ValueError("its signing_secret is too short")
    for name in ("id", "name"):
        values = [getattr(key, name) for key in file.keys]
        if len(values) != len({*values}):
            raise ValueError(f"two of its keys have the same {name}")
    for number, key in enumerate(file.keys):
        if not key.scopes or not SCOPES.issuperset(key.scopes):
            raise ValueError(f"keys[{number}] has no scopes")
        if not all(re.fullmatch(r"[0-9a-f]{64}", secret.sha256) for secret in key.secrets):
            raise ValueError(f"keys[{number}] has a secret that is no SHA-256")


@contextlib.contextmanager
def editing(path: Path) -> Iterator[KeysFile]:
    """The file's keys, to be changed; written when the block ends, unless it raises. A file that
    is not there is begun. Raises KeysError, and then nothing is changed."""
    path = path.resolve()  # a link stays one
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with _locked(path.parent):
            new = KeysFile(1, secrets.token_urlsafe(_SIGNING_BYTES), [])
            file = read(path) if path.exists() else new
            yield file
            _write(path, msgspec.json.format(msgspec.json.encode(file), indent=1) + b"\n")
    except OSError as error:
        raise KeysError(f"{path} cannot be written ({error.strerror}).") from error


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """One writer at a time. The folder is locked and not the file, which is replaced."""
    opened = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(opened, fcntl.LOCK_EX)
        yield
    finally:
        os.close(opened)


def _write(path: Path, data: bytes) -> None:
    """In one step, so that no gateway reads half of it; for its owner only."""
    opened, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)  # mode 0600
    try:
        with os.fdopen(opened, "wb") as file:
            if path.exists():
                before = path.stat()
                if (before.st_uid, before.st_gid) != (os.geteuid(), os.getegid()):
                    os.fchown(opened, before.st_uid, before.st_gid)  # a service's own, by root
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
