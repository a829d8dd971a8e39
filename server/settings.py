"""What a gateway can be told, by `LOOKBACK_*` variables; only this file reads them."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SecretStr
from pydantic_settings import NoDecode

import lookback_files
from messages.questions import MOST_WAITING
from server.access_settings import AccessSettings, words
from server.rtsp_hosts import RtspHosts
from server.udp import MediaAddresses, UdpPorts
from telemetry.logs import Format

IceUrl = Annotated[str, Field(pattern=r"^(stun|turn)s?:[^\s<>\"]+$")]

TurnUrl = Annotated[str, Field(pattern=r"^turns?:[^\s<>\"]+$")]


class IceServer(BaseModel):
    """A STUN or TURN server that senders are told of, as WebRTC's RTCIceServer."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    urls: tuple[IceUrl, ...] = Field(min_length=1)
    username: str | None = None
    credential: SecretStr | None = None


class GatewaySettings(AccessSettings):
    """A gateway process. Raises pydantic.ValidationError that names the variable to change."""

    broker_url: str = "redis://127.0.0.1:6379"
    """Redis or a server that speaks its protocol, as `redis://[[user]:password@]host:port`,
    `rediss://…` or `unix:///path`; None (of `serve`): an embedded one."""
    port: int = Field(default=8400, ge=0, le=65535)
    """0 takes any free port."""
    ssl_certfile: Path | None = None
    """With ssl_keyfile: HTTPS, without which browsers give other machines' pages no camera."""
    ssl_keyfile: Path | None = None
    """The certificate's private key."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """The least that is logged, on stderr."""
    log_format: Format = "text"
    """`json`: one object a line."""
    log_contents: bool = False
    """Questions and answers are logged word by word, knowingly; pictures never are."""
    metrics: Literal["keys", "open", "off"] = "keys"
    """Who may read `/metrics`: where there are API keys those with the scope `observe`, or
    everybody (`open`), or nobody (`off`)."""
    tracing: str | None = None
    """An OTLP collector for traces, as `http://host:4318`; needs `lookback[tracing]`."""
    client_folder: Path = lookback_files.PAGE
    """The page."""
    library_folder: Path = lookback_files.LIBRARY
    """The JavaScript client, which the page uses."""
    samples_folder: Path = lookback_files.SAMPLES
    """The sample clip and its questions."""

    fps: float = Field(default=1.0, gt=0, le=30)
    """Frames sampled per second of presentation time."""
    similar_levels: float = Field(default=0.5, ge=0, le=255)
    """A frame whose grey thumbnail differs from the last kept one by at most this mean absolute
    difference (0 to 255) is a near-duplicate and skipped; 0 skips only equal thumbnails."""
    keep_every_seconds: float = Field(default=4.0, ge=0)
    """At least one frame in so many seconds is kept, however similar; 0 keeps all."""
    jpeg_quality: int = Field(default=90, ge=1, le=100)
    """Of the frames that a worker is sent."""
    stall_seconds: float = Field(default=4.0, gt=0)
    """A camera that nothing is heard of for so long counts as stalled."""
    connect_seconds: float = Field(default=15.0, gt=0)
    """How long a media connection may take to come about."""
    start_kilobits: int = Field(default=2000, ge=100)
    """The bitrate, in kbit/s, at which a browser is asked to start."""
    most_cameras: int = Field(default=64, ge=1)
    """Cameras that may be connected to this gateway at once."""
    udp_ports: UdpPorts = None
    """UDP ports that media (WebRTC and RTP) may take, as `50000-50100`; None takes any."""
    media_address: MediaAddresses = ()
    """IP addresses by which senders reach this machine, where they are not its own (a container, a
    cloud's 1:1 NAT): WebRTC senders are told these instead."""
    rtp_host: str | None = None
    """The address at which RTP is listened for, `0.0.0.0` for all; None: `host`."""
    rtsp_hosts: RtspHosts = ()
    """Cameras that may be pulled from, apart by commas: names, addresses, networks, each with
    ports after a colon where they are not 554 (`8554`, `8000-8010`, `*`); none by default."""
    ice_servers: tuple[IceServer, ...] = ()
    """STUN and TURN servers for senders, as a JSON list of RTCIceServer."""
    turn_urls: Annotated[tuple[TurnUrl, ...], NoDecode, BeforeValidator(words)] = ()
    """TURN servers with time-limited credentials, as `turn:host:port?transport=udp`."""
    turn_secret: SecretStr | None = None
    """What they share with this gateway (coturn's static-auth-secret)."""
    turn_ttl_seconds: int = Field(default=3600, ge=60)
    """How long such credentials are good for."""

    picture_bytes: int = Field(default=2**21, ge=1024)
    """An encoded picture's size at most, on a websocket or with a question."""
    picture_pixels: int = Field(default=2**24, ge=4096)
    """Its pixels at most; they are known, and judged, before it is decoded."""
    pictures_per_second: float = Field(default=60.0, gt=0)
    """Pictures that one frames websocket may send; those of them that are not sampled are never
    decoded."""
    shown_per_second: float = Field(default=1.0, gt=0)
    """Pictures of questions, all of which are kept, that one session takes in the long run."""

    import_bytes: int = Field(default=2**29, ge=2**20)
    """A snapshot's size at most that a session is made of."""
    most_imports: int = Field(default=2, ge=1)
    """Snapshots that this gateway takes at once; each is kept in a file under TMPDIR meanwhile."""

    question_characters: int = Field(default=4000, ge=1)
    """A question's length at most."""
    instructions_characters: int = Field(default=2000, ge=1)
    """A system prompt's length at most."""
    queued_questions: int = Field(default=8, ge=0, lt=MOST_WAITING)
    """Questions of one session that may wait while one is being answered."""
    answer_tokens: int = Field(default=128, ge=1)
    """An answer's length where the client asks for none."""
    longest_answer_tokens: int = Field(default=1024, ge=1)
    """The longest answer that a client may ask for."""
    answer_seconds: float = Field(default=120.0, gt=0)
    """How long nothing may be heard of an answer before it counts as lost."""
    first_frame_seconds: float = Field(default=30.0, gt=0)
    """How long a question waits for the first frame, or for a picture that came with it, to reach
    the model."""

    open_seconds: float = Field(default=10.0, gt=0)
    """How long a worker may take to open a session."""
    orphan_seconds: float = Field(default=6.0, gt=0)
    """A session is closed so long after its last websocket and its last frame."""
    return_seconds: float = Field(default=60.0, gt=0)
    """A session whose WHIP sender went without saying so is closed after so long instead."""
    idle_seconds: float = Field(default=60.0, gt=0)
    """A session that nobody ever attached to is closed after so long."""
    quiet_seconds: float = Field(default=1800.0, gt=0)
    """A session with a websocket, but without a frame or a question for so long, is closed."""
    takeover_seconds: float = Field(default=30.0, ge=0)
    """How long a session whose worker is lost waits for another."""
    waiting_sessions: int = Field(default=64, ge=0)
    """Sessions that may wait for a worker with room."""
    waiting_each: int = Field(default=16, ge=1)
    """How many of them may be one API key's, or one address's where there are none."""
    ticket_seconds: float = Field(default=6.0, gt=0)
    """How long a place in that queue is kept for somebody who does not ask again."""

    @property
    def message_bytes(self) -> int:
        """A websocket message's size at most, in bytes: a picture as base64, and what stands
        around it."""
        return self.picture_bytes * 4 // 3 + 2**16
