"""GStreamer as an IP camera, run by the system's Python, which has its bindings.

gstreamer_rtsp.py CODEC [basic|digest] [PORT] serves rtsp://127.0.0.1:PORT/camera, with user
`viewer` and the password in the environment's CAMERA_PASSWORD; prints the port.
"""

import os
import sys

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtsp", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtsp, GstRtspServer  # noqa: E402

X264 = "x264enc tune=zerolatency speed-preset=ultrafast key-int-max=15"
X265 = "x265enc tune=zerolatency speed-preset=ultrafast key-int-max=15 option-string=pools=1"
ENCODERS = {
    "h264": f"{X264} ! rtph264pay name=pay0 pt=96",
    "h265": f"{X265} ! rtph265pay name=pay0 pt=96",
    "jpeg": "jpegenc ! rtpjpegpay name=pay0 pt=26",
    "vp8": "vp8enc deadline=1 keyframe-max-dist=15 ! rtpvp8pay name=pay0 pt=96",
    "theora": "theoraenc ! rtptheorapay name=pay0 pt=96",
}
SOUND = "audiotestsrc is-live=true wave=silence ! opusenc ! rtpopuspay name=pay1 pt=97"
PICTURE = "video/x-raw,format=I420,width=320,height=240,framerate=15/1"


def main(codec: str, login: str = "", port: str = "0") -> None:
    Gst.init(None)
    server = GstRtspServer.RTSPServer()
    server.set_address("127.0.0.1")
    server.set_service(port)
    factory = GstRtspServer.RTSPMediaFactory()
    source = "videotestsrc is-live=true pattern=ball"
    factory.set_launch(f"( {source} ! {PICTURE} ! {ENCODERS[codec]} {SOUND} )")
    factory.set_shared(True)
    if login:
        auth = GstRtspServer.RTSPAuth()
        token = GstRtspServer.RTSPToken()
        token.set_string("media.factory.role", "viewer")
        password = os.environ["CAMERA_PASSWORD"]
        if login == "digest":
            auth.set_supported_methods(GstRtsp.RTSPAuthMethod.DIGEST)
            auth.add_digest("viewer", password, token)
        else:
            auth.add_basic(GstRtspServer.RTSPAuth.make_basic("viewer", password), token)
        server.set_auth(auth)
        factory.add_role_from_structure(
            Gst.Structure.from_string(
                "viewer, media.factory.access=(boolean)true, media.factory.construct=(boolean)true"
            )[0]
        )
    server.get_mount_points().add_factory("/camera", factory)
    server.attach(None)
    print(server.get_bound_port(), flush=True)
    GLib.MainLoop().run()


main(*sys.argv[1:])
