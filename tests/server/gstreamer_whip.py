"""GStreamer's webrtcbin as a WHIP client, run by the system's Python, which has its bindings.

gstreamer_whip.py ENDPOINT vp8|h264 [audio] [trickle]; SIGINT ends it with a DELETE. Debian's
whip-client would do the same, but aborts: it and libnice bring two versions of libsoup.
"""

import signal
import sys
import urllib.request
from typing import Any
from urllib.parse import urljoin

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstSdp", "1.0")
gi.require_version("GstWebRTC", "1.0")
from gi.repository import GLib, Gst, GstSdp, GstWebRTC  # noqa: E402

VIDEO = {
    "vp8": "vp8enc deadline=1 keyframe-max-dist=15 ! rtpvp8pay pt=96",
    "h264": "x264enc tune=zerolatency speed-preset=ultrafast key-int-max=15 ! "
    "video/x-h264,profile=constrained-baseline ! rtph264pay pt=96 config-interval=-1",
}
AUDIO = "audiotestsrc is-live=true wave=silence ! opusenc ! rtpopuspay pt=97"
KEY = {"Authorization": "Bearer some-key"}


class Client:
    """One publication."""

    def __init__(self, endpoint: str, codec: str, audio: bool, trickle: bool) -> None:
        self._endpoint = endpoint
        self._trickle = trickle
        self._posted = False
        self._candidates: list[str] = []
        self._resource = self._tag = self._offer = ""
        pipeline = (
            "webrtcbin name=sender bundle-policy=max-bundle videotestsrc is-live=true pattern=ball "
            "! video/x-raw,width=320,height=240,framerate=15/1 ! videoconvert "
            f"! {VIDEO[codec]} ! queue ! sender."
        )
        self._pipeline = Gst.parse_launch(
            f"{pipeline} {AUDIO} ! queue ! sender." if audio else pipeline
        )
        self._sender = self._pipeline.get_by_name("sender")
        # Both callbacks come from threads of GStreamer's.
        self._sender.connect("on-negotiation-needed", lambda _: GLib.idle_add(self._create))
        self._sender.connect("on-ice-candidate", lambda _, m, c: GLib.idle_add(self._found, m, c))
        self._sender.connect(
            "notify::ice-gathering-state", lambda *_: GLib.idle_add(self._gathered)
        )
        self._pipeline.set_state(Gst.State.PLAYING)

    def _create(self) -> bool:
        promise = Gst.Promise.new_with_change_func(self._created)
        self._sender.emit("create-offer", None, promise)
        return False

    def _created(self, promise: Any) -> None:
        reply = promise.get_reply()  # The offer lives as long as this does.
        offer = reply.get_value("offer")
        self._offer = offer.sdp.as_text()
        self._sender.emit("set-local-description", offer, Gst.Promise.new())
        if self._trickle:
            GLib.idle_add(lambda: self._post(self._offer))

    def _found(self, line: int, candidate: str) -> bool:
        if line == 0:
            self._candidates.append(candidate)
            if self._posted:
                self._patch()
        return False

    def _gathered(self) -> bool:
        complete = GstWebRTC.WebRTCICEGatheringState.COMPLETE
        if self._sender.get_property("ice-gathering-state") == complete and not self._posted:
            self._post(self._sender.get_property("local-description").sdp.as_text())
        return False

    def _post(self, offer: str) -> None:
        self._posted = True
        reply, answer = self._send("POST", self._endpoint, offer, "application/sdp")
        self._resource = urljoin(self._endpoint, reply.headers["Location"])
        self._tag = reply.headers["ETag"]
        _, message = GstSdp.SDPMessage.new_from_text(answer)
        description = GstWebRTC.WebRTCSessionDescription.new(
            GstWebRTC.WebRTCSDPType.ANSWER, message
        )
        self._sender.emit("set-remote-description", description, Gst.Promise.new())
        if self._trickle:
            self._patch()

    def _patch(self) -> None:
        wanted = ("a=ice-ufrag:", "a=ice-pwd:", "a=mid:")
        lines = self._offer.split("m=")[1].splitlines()
        ufrag, password, mid = (next(x for x in lines if x.startswith(name)) for name in wanted)
        found = [f"a={candidate}" for candidate in self._candidates]
        self._candidates.clear()
        fragment = [ufrag, password, "m=video 9 UDP/TLS/RTP/SAVPF 0", mid, *found]
        kind = "application/trickle-ice-sdpfrag"
        self._send("PATCH", self._resource, "\r\n".join(fragment) + "\r\n", kind)

    def _send(self, method: str, url: str, body: str | None, kind: str) -> tuple[Any, str]:
        headers = KEY | ({"Content-Type": kind} if kind else {})
        if method == "PATCH":
            headers["If-Match"] = self._tag
        data = None if body is None else body.encode()
        request = urllib.request.Request(url, data, headers, method=method)
        with urllib.request.urlopen(request) as reply:
            print(method, reply.status, flush=True)
            return reply, reply.read().decode()

    def stop(self) -> None:
        self._send("DELETE", self._resource, None, "")
        self._pipeline.set_state(Gst.State.NULL)


def main(endpoint: str, codec: str, *options: str) -> None:
    Gst.init(None)
    loop = GLib.MainLoop()
    client = Client(endpoint, codec, "audio" in options, "trickle" in options)

    def end() -> bool:
        client.stop()
        loop.quit()
        return False

    GLib.unix_signal_add(GLib.PRIORITY_DEFAULT, signal.SIGINT, end)
    loop.run()


main(*sys.argv[1:])
