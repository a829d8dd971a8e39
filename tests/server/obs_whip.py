"""What OBS sends by WHIP, with OBS's own WebRTC library: obs_whip.py ENDPOINT SECONDS PROFILE.

Opus and H.264 of any profile, announced as constrained baseline; no candidates in the offer, none
later; a Bearer token. Needs libdatachannel-py, PyAV and numpy.
"""

import sys
import time
import urllib.request
from fractions import Fraction
from typing import Any
from urllib.parse import urljoin

import av
import libdatachannel as rtc
import numpy as np

KEY = {"Authorization": "Bearer some-key"}
FPS = 30


def track(peer: Any, media: Any, ssrc: int, packetizer: Any, config: Any) -> Any:
    media.add_ssrc(ssrc, config.cname, "stream", media.mid())
    made = peer.add_track(media)
    packetizer.add_to_chain(rtc.RtcpSrReporter(config))
    packetizer.add_to_chain(rtc.RtcpNackResponder())
    made.set_media_handler(packetizer)
    return made


def video_encoder(profile: str) -> Any:
    encoder = av.CodecContext.create("libx264", "w")
    encoder.width, encoder.height, encoder.pix_fmt = 320, 240, "yuv420p"
    encoder.time_base, encoder.framerate = Fraction(1, FPS), Fraction(FPS, 1)
    parameters = "repeat-headers=1:annexb=1"
    encoder.options = {"preset": "veryfast", "profile": profile, "bf": "0", "g": str(FPS)}
    encoder.options = encoder.options | {"x264-params": parameters}
    return encoder


def audio_encoder() -> Any:
    encoder = av.CodecContext.create("libopus", "w")
    encoder.sample_rate, encoder.layout, encoder.format = 48000, "stereo", "s16"
    return encoder


def main(endpoint: str, seconds: str, profile: str) -> None:
    config = rtc.Configuration()
    config.disable_auto_gathering = True
    peer = rtc.PeerConnection(config)
    states: list[Any] = []
    peer.on_state_change(states.append)
    sendonly = rtc.Description.Direction.SendOnly
    sounds = rtc.RtpPacketizationConfig(1111, "obs", 111, 48000)
    audio = rtc.Description.Audio("0", sendonly)
    audio.add_opus_codec(111)
    sound = track(peer, audio, 1111, rtc.OpusRtpPacketizer(sounds), sounds)
    pictures = rtc.RtpPacketizationConfig(2222, "obs", 96, 90000)
    video = rtc.Description.Video("1", sendonly)
    video.add_h264_codec(96)
    start = rtc.NalUnit.Separator.StartSequence
    picture = track(peer, video, 2222, rtc.H264RtpPacketizer(start, pictures, 1180), pictures)

    peer.set_local_description()
    offer = str(peer.local_description()).encode()
    headers = KEY | {"Content-Type": "application/sdp"}
    post = urllib.request.Request(endpoint, offer, headers, method="POST")
    with urllib.request.urlopen(post, timeout=8) as reply:
        assert reply.status == 201
        resource = urljoin(endpoint, reply.headers["Location"])
        peer.set_remote_description(rtc.Description(reply.read().decode(), "answer"))
    peer.gather_local_candidates()
    deadline = time.monotonic() + 8
    while rtc.PeerConnection.State.Connected not in states:
        assert time.monotonic() < deadline, states
        time.sleep(0.02)

    frames, samples = video_encoder(profile), audio_encoder()
    began = time.monotonic()
    sampled = 0
    for number in range(round(FPS * float(seconds))):
        grey = np.full((240, 320, 3), number * 7 % 199, np.uint8)
        frame = av.VideoFrame.from_ndarray(grey, "rgb24")
        frame.pts, frame.time_base = number, Fraction(1, FPS)
        for packet in frames.encode(frame):
            pictures.timestamp = pictures.start_timestamp + packet.pts * 90000 // FPS
            picture.send(bytes(packet))
        while sampled < number * 48000 // FPS:
            silence = av.AudioFrame.from_ndarray(np.zeros((1, 1920), np.int16), "s16", "stereo")
            silence.sample_rate, silence.pts = 48000, sampled
            for packet in samples.encode(silence):
                if sound.is_open():
                    sounds.timestamp = sounds.start_timestamp + sampled
                    sound.send(bytes(packet))
            sampled += 960
        time.sleep(max(0.0, began + number / FPS - time.monotonic()))
    delete = urllib.request.Request(resource, headers=KEY, method="DELETE")
    with urllib.request.urlopen(delete) as reply:
        print("DELETE", reply.status)
    peer.close()


main(*sys.argv[1:])
