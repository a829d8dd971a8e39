"""Cameras that are pulled from, over HTTP: `/v1/sessions/{session}/rtsp`."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Request
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, ConfigDict, SecretStr

from server.access import Caller, allowed
from server.replies import RtspState, replying
from server.rtsp import RtspCamera
from server.rtsp_hosts import admit
from server.rtsp_url import read_url
from server.served import sessions_of

router = APIRouter(prefix="/v1/sessions/{session}/rtsp")

Publisher = Annotated[Caller, Depends(allowed("publish"))]


class NewRtsp(BaseModel):
    """The camera's URL, with user and password where it wants them. All that it sends comes over
    the one connection that is made to it."""

    model_config = ConfigDict(extra="forbid")

    url: SecretStr
    transport: Literal["tcp"] = "tcp"


@router.post(
    "",
    status_code=201,
    responses=replying(RtspState, "The camera, which is now being connected to", 201),
    response_model=None,
)
async def pull_rtsp(
    request: Request, caller: Publisher, session: str, wanted: NewRtsp
) -> JSONResponse:
    """Begins to pull pictures from an IP camera, which takes the place of the session's present
    one. How it fares is told as the session's camera."""
    sessions = sessions_of(request)
    watching = await sessions.find(session, caller)
    url = read_url(wanted.url.get_secret_value().strip())
    await admit(url, sessions.settings.rtsp_hosts)
    sessions.admit_camera(watching)
    camera = RtspCamera(watching, sessions.settings, url)
    await watching.publish(camera, camera.begin)
    path = f"{request.scope.get('root_path', '')}/v1/sessions/{session}/rtsp/{camera.id}"
    return JSONResponse(camera.described(), 201, {"Location": path})


@router.get("/{rtsp}", responses=replying(RtspState, "The camera, now"), response_model=None)
async def read_rtsp(request: Request, caller: Publisher, session: str, rtsp: str) -> dict[str, Any]:
    """Its state, and why there is no picture."""
    watching = await sessions_of(request).find(session, caller)
    return watching.cameras.named(rtsp, RtspCamera, gone=True).described()


@router.delete("/{rtsp}", status_code=204)
async def close_rtsp(request: Request, caller: Publisher, session: str, rtsp: str) -> Response:
    """Ends the pulling; the session and what it has seen stay."""
    watching = await sessions_of(request).find(session, caller)
    await watching.cameras.named(rtsp, RtspCamera, gone=True).close("it was ended by its user")
    return Response(status_code=204)
