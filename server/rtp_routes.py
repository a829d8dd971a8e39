"""RTP cameras over HTTP: `/v1/sessions/{session}/rtp`."""

import ipaddress
import re
from typing import Annotated, Any, Final

import msgspec
from fastapi import APIRouter, Depends, Request
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, ConfigDict, Field, StrictInt, StrictStr

from server.access import Caller, allowed
from server.errors import ClientError
from server.replies import RtpPort, RtpState, replying
from server.rtp import RtpCamera
from server.rtp_payload import Codec
from server.rtp_sdp import RtpFormat, chosen, read
from server.rtp_socket import plain
from server.sdp import SDP_BYTES
from server.served import sessions_of
from server.settings import GatewaySettings

router = APIRouter(prefix="/v1/sessions/{session}/rtp")

Publisher = Annotated[Caller, Depends(allowed("publish"))]
_HOST: Final = re.compile(r"[A-Za-z0-9._-]{1,253}|[0-9A-Fa-f:.]{2,45}")


class NewRtp(BaseModel):
    """What a sender will send. source: the IP address from which alone packets are taken; sdp: the
    sender's own, whose codec, payload type and parameter sets are used."""

    model_config = ConfigDict(extra="forbid")

    codec: Codec | None = None
    payload_type: Annotated[StrictInt, Field(ge=0, le=127)] | None = None
    source: StrictStr | None = None
    sdp: Annotated[StrictStr, Field(max_length=SDP_BYTES)] | None = None


@router.post(
    "",
    status_code=201,
    responses=replying(RtpPort, "Where to send; `Location` is the camera", 201),
    response_model=None,
)
async def open_rtp(
    request: Request, caller: Publisher, session: str, wanted: NewRtp | None = None
) -> JSONResponse:
    """Opens a UDP port for a sender of plain RTP, which takes the place of the session's present
    camera."""
    wanted = wanted or NewRtp()
    sessions = sessions_of(request)
    watching = await sessions.find(session, caller)
    source = None if wanted.source is None else _source(wanted.source)
    camera = RtpCamera(watching, sessions.settings, _format(wanted), source)
    sessions.admit_camera(watching)
    await watching.publish(camera, camera.begin)
    path = f"{request.scope.get('root_path', '')}/v1/sessions/{session}/rtp/{camera.id}"
    host = reachable(camera.address, sessions.settings, request.url.hostname)
    return JSONResponse(camera.described(host), 201, {"Location": path})


@router.get("/{rtp}", responses=replying(RtpState, "The camera, now"), response_model=None)
async def read_rtp(request: Request, caller: Publisher, session: str, rtp: str) -> dict[str, Any]:
    """Its state, why there is no picture, and what became of its packets and frames."""
    watching = await sessions_of(request).find(session, caller)
    camera = watching.cameras.named(rtp, RtpCamera)
    return {
        "id": camera.id,
        "state": camera.state,
        "message": camera.why,
        "counters": msgspec.to_builtins(camera.counters),
    }


@router.delete("/{rtp}", status_code=204)
async def close_rtp(request: Request, caller: Publisher, session: str, rtp: str) -> Response:
    """Frees the port; the session and what it has seen stay."""
    watching = await sessions_of(request).find(session, caller)
    camera = watching.cameras.named(rtp, RtpCamera)
    await camera.close("its sender ended it")
    return Response(status_code=204)


def _format(wanted: NewRtp) -> RtpFormat:
    if wanted.sdp is None:
        return chosen(wanted.codec, wanted.payload_type)
    return read(wanted.sdp, wanted.codec, wanted.payload_type)


def _source(given: str) -> str:
    try:
        return plain(given)
    except ValueError as error:
        raise ClientError(
            "invalid_source",
            f"{given[:80]!r} is no IP address: give the one from which packets will come.",
            param="source",
            status=422,
        ) from error


def reachable(address: str, settings: GatewaySettings, asked: str | None) -> str:
    """The address that a sender is told: one of LOOKBACK_MEDIA_ADDRESS; or the one that is listened
    at; or, where those are all of this machine's, the one by which this gateway was asked."""
    listening = ipaddress.ip_address(address)
    for media in settings.media_address:
        if listening.version == 6 or ipaddress.ip_address(media).version == 4:
            return media
    if not listening.is_unspecified:
        return address
    if asked is None or asked == "localhost" or not _HOST.fullmatch(asked):
        return "127.0.0.1" if listening.version == 4 else "::1"
    return asked
