"""What the HTTP interface replies, type by type: docs/openapi.json is written from it."""

from typing import Any, Literal

from msgspec import UNSET, UnsetType

from messages.workers import WorkerCard
from server.shapes import Camera, Memory, Part


class Alive(Part):
    """The process lives."""

    status: Literal["ok"]


class Ready(Part):
    """A worker that can take a session, and how many pictures a second it would be shown."""

    worker: WorkerCard
    sampled_per_second: float


class Latency(Part):
    """Times to first text of so many answers, the latest of this gateway, in seconds."""

    answers: int
    ttft_p50: float | None
    ttft_p95: float | None


class StatusSession(Part):
    """One session; `id` is the beginning of its id, `kv_bytes` what its memory takes."""

    id: str
    state: Literal["watching", "idle", "moving"]
    worker: str
    camera: Literal["webrtc", "whip", "rtp", "rtsp", "frames"] | None
    camera_state: Literal["none", "connecting", "live", "stalled", "gone"]
    frames_received: int
    frames_sent: int
    frames_dropped: int
    tokens: int
    cap_tokens: int
    kv_bytes: int
    websockets: int
    answering: bool
    questions_waiting: int


class Status(Part):
    """All living workers, the sessions of all gateways that wait for one (`queue`), and this
    gateway's own."""

    broker: Literal["up", "away"]
    queue: int
    incompatible_workers: int
    workers: list[WorkerCard]
    sessions: list[StatusSession]
    latency: Latency


class Session(Part):
    """A session and its memory: kept tokens per layer and head after a compression pass, and at
    most; its size in bytes. What pictures it takes: so many a second, of this width and height, or
    of any shape with at most so many pixels."""

    id: str
    object: Literal["realtime.session"]
    model: str
    budget_tokens: int
    cap_tokens: int
    kv_bytes: int
    sampled_per_second: float
    frame_size: tuple[int, int] | None
    max_pixels: int
    instructions: str | None


class Responses(Part):
    """The answer being written, by its id, and how many wait behind it."""

    running: str | None
    queued: int


class SessionState(Session):
    """A session as it is now."""

    memory: Memory | None
    camera: Camera
    websockets: int
    responses: Responses


class SdpAnswer(Part):
    """A WebRTC answer with all candidates; `camera` is the number of this camera."""

    sdp: str
    type: Literal["answer"]
    camera: int


class RtpPort(Part):
    """Where a sender of RTP is to send, and what; `sdp` says the same (RFC 8866). RTCP may come to
    the same port, or to `rtcp_port`."""

    id: str
    host: str
    port: int
    codec: Literal["H264", "VP8"]
    payload_type: int
    sdp: str
    rtcp_port: int | UnsetType = UNSET


class RtpCount(Part):
    """Packets, and frames that were not shown, of one RTP camera."""

    packets_received: int
    packets_lost: int
    packets_late: int
    packets_refused: int
    packets_ignored: int
    packets_malformed: int
    frames_broken: int
    frames_skipped: int
    frames_crowded: int
    frames_undecodable: int


class RtpState(Part):
    """An RTP camera as it is now."""

    id: str
    state: Literal["connecting", "live", "stalled"]
    message: str
    counters: RtpCount


class RtspState(Part):
    """A camera that is pulled from, as it is now; `url` is without credentials."""

    id: str
    url: str
    state: Literal["connecting", "live", "stalled", "gone"]
    message: str


class Token(Part):
    """A session's token; expires_at: Unix seconds."""

    token: str
    expires_at: int
    scopes: list[Literal["publish", "ask"]]
    session: str


class ClientSecretSession(Part):
    """What a client secret is for."""

    type: Literal["realtime"]
    object: Literal["realtime.session"]
    id: str


class ClientSecret(Part):
    """A token, as OpenAI's clients expect it."""

    value: str
    expires_at: int
    session: ClientSecretSession


class IceServer(Part):
    """WebRTC's RTCIceServer."""

    urls: list[str]
    username: str | UnsetType = UNSET
    credential: str | UnsetType = UNSET


class IceServers(Part):
    """STUN and TURN servers; expires_at: when their credentials end, in Unix seconds, or never."""

    ice_servers: list[IceServer]
    expires_at: int | None


class WaitingPlace(Part):
    """Where no worker has room, or too many questions wait: how many come before. `ticket` keeps a
    session's place; `retry_after_seconds` is when a question's turn may come."""

    queue_position: int
    ticket: str | UnsetType = UNSET
    retry_after_seconds: float | UnsetType = UNSET


class ErrorBody(Part):
    """What is wrong, and what to change."""

    type: Literal["invalid_request_error", "server_error"]
    code: str
    message: str
    param: str | None
    lookback: WaitingPlace | UnsetType = UNSET


class ErrorReply(Part):
    """Every error, as the OpenAI APIs have it."""

    error: ErrorBody


REPLIES: tuple[type[Part], ...] = (
    Alive, Ready, Status, Session, SessionState, SdpAnswer, RtpPort, RtpState, RtspState, Token,
    ClientSecret, IceServers, ErrorReply,
)  # fmt: skip


def replying(reply: type[Part], description: str, status: int = 200) -> dict[int | str, Any]:
    """FastAPI's `responses`, where the success is a `reply`."""
    schema = {"$ref": f"#/components/schemas/{reply.__name__}"}
    content = {"application/json": {"schema": schema}}
    return {status: {"description": description, "content": content}}
