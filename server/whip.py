"""WHIP, by which OBS, GStreamer and browsers publish a camera over HTTP (RFC 9725).

`/whip/{session}` is the endpoint; the resource behind the `Location` of its answer is the
connection. ICE is never restarted (aiortc cannot), so a connection keeps its entity-tag.
"""

import re
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Request
from fastapi.responses import Response

from server.access import Caller, allowed
from server.camera import Camera
from server.errors import ClientError
from server.sdp import SDP_BYTES, kinds, values
from server.served import sessions_of

router = APIRouter(prefix="/whip")

Publisher = Annotated[Caller, Depends(allowed("publish"))]

_SDP: Final = "application/sdp"
_FRAGMENT: Final = "application/trickle-ice-sdpfrag"
_FRAGMENT_BYTES: Final = 16384
_TEXT: Final = {"schema": {"type": "string"}}
_SDP_ANSWER: Final = {
    "description": "The answer, with all candidates; `Location` is the connection",
    "content": {_SDP: _TEXT},
}


def _taking(kind: str) -> dict[str, Any]:
    """OpenAPI's words for a body that is read as it is."""
    return {"requestBody": {"required": True, "content": {kind: _TEXT}}}


@router.post(
    "/{session}",
    status_code=201,
    responses={201: _SDP_ANSWER},
    openapi_extra=_taking(_SDP),
    response_class=Response,
)
async def publish(request: Request, caller: Publisher, session: str) -> Response:
    """Answers an SDP offer with all candidates. The sender takes the place of the session's
    present camera."""
    sdp = await _body(request, _SDP, SDP_BYTES)
    sessions = sessions_of(request)
    watching = await sessions.find(session, caller)
    _check(sdp)
    sessions.admit_camera(watching)
    camera, answer = await watching.offers.answer(sdp, returning=True)
    headers = {"Location": f"{request.scope.get('root_path', '')}/whip/{session}/{camera.id}"}
    headers |= {"ETag": _tag(camera), "Accept-Patch": _FRAGMENT}
    response = Response(answer, 201, headers, _SDP)
    for link in request.app.state.ice.links(caller.name):
        response.headers.append("Link", link)
    return response


@router.patch(
    "/{session}/{resource}",
    status_code=204,
    openapi_extra=_taking(_FRAGMENT),
    response_class=Response,
)
async def trickle(request: Request, caller: Publisher, session: str, resource: str) -> Response:
    """Takes candidates that the sender found after its offer (RFC 8840)."""
    fragment = await _body(request, _FRAGMENT, _FRAGMENT_BYTES)
    camera = (await sessions_of(request).find(session, caller)).offers.sender(resource)
    match = request.headers.get("if-match")
    if match is None:
        raise ClientError(
            "if_match_missing",
            "Say in If-Match which connection is meant: its ETag came with the answer.",
            status=428,
        )
    if match.strip() != "*" and _tag(camera) not in [tag.strip() for tag in match.split(",")]:
        raise ClientError(
            "etag_mismatch", "If-Match is not the ETag that came with the answer.", status=412
        )
    if not camera.same_ice(values(fragment, "ice-ufrag"), values(fragment, "ice-pwd")):
        raise ClientError(
            "ice_restart_unsupported",
            "ICE cannot be restarted here. The connection goes on as it was; where it is lost, "
            "publish anew with POST.",
            status=422,
        )
    await camera.add_candidates(read_fragment(fragment))
    return Response(status_code=204)


@router.delete("/{session}/{resource}", response_class=Response)
async def unpublish(request: Request, caller: Publisher, session: str, resource: str) -> Response:
    """Ends the connection; the session and what it has seen stay."""
    await (await sessions_of(request).find(session, caller)).offers.dismiss(resource)
    return Response(status_code=200)


@router.api_route(
    "/{session}", methods=["OPTIONS", "GET", "HEAD"], status_code=204, include_in_schema=False
)
async def endpoint(session: str) -> Response:
    """What may be sent here. Says nothing about the session."""
    headers = {"Accept-Post": _SDP, "Allow": "POST, OPTIONS, GET, HEAD"}
    return Response(status_code=204, headers=headers)


@router.api_route(
    "/{session}/{resource}",
    methods=["OPTIONS", "GET", "HEAD"],
    status_code=204,
    include_in_schema=False,
)
async def resource(session: str, resource: str) -> Response:
    """What may be sent here. Says nothing about the connection."""
    headers = {"Accept-Patch": _FRAGMENT, "Allow": "PATCH, DELETE, OPTIONS, GET, HEAD"}
    return Response(status_code=204, headers=headers)


def _tag(camera: Camera) -> str:
    return f'"{camera.generation}"'


async def _body(request: Request, kind: str, most_bytes: int) -> str:
    """Raises ClientError: 415 for another type, 413 for too much, 400 for what is no text."""
    given = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if given != kind:
        raise ClientError(
            "unsupported_media_type",
            f"Content-Type is {given[:80]!r}; send {kind}.",
            status=415,
        )
    body = await request.body()
    if len(body) > most_bytes:
        raise ClientError(
            "body_too_large", f"This body has at most {most_bytes} bytes.", status=413
        )
    try:
        return body.decode()
    except UnicodeDecodeError as error:
        raise ClientError("invalid_body", f"The body is no UTF-8 text ({error}).") from error


def _check(sdp: str) -> None:
    """Raises ClientError (422) for what a camera cannot be: an answer takes all or nothing."""
    if not sdp.startswith("v=0"):
        return  # It is refused as broken where it is read.
    media = kinds(sdp)
    problem = None
    if media.count("video") != 1:
        problem = f"This offer has {media.count('video')} video sections: send exactly one."
    elif media.count("audio") > 1:
        problem = "This offer has several audio sections: send one at most; it is not listened to."
    elif others := {*media} - {"audio", "video"}:
        problem = f"This offer has sections for {', '.join(sorted(others))[:80]}: send only video."
    if problem is not None:
        raise ClientError("unsupported_media", problem, param="sdp", status=422)


def read_fragment(fragment: str) -> list[tuple[str, str]]:
    """Pairs of a media section's id and a candidate. The end of candidates is not told on: the
    sender may still be found by its own checks. Raises ClientError."""
    found = []
    mid = ""
    for line in fragment.splitlines():
        name, _, value = line.partition(":")
        if line.startswith("m="):
            mid = ""
        elif name == "a=mid":
            mid = value.strip()
        elif name == "a=candidate":
            found.append((mid, value))
        elif line and not re.match(r"[a-z]=", line):
            raise ClientError("invalid_fragment", f"{line[:80]!r} is no line of an SDP fragment.")
    return found
