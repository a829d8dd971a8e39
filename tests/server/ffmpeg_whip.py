"""ffmpeg's WHIP muxer, as PyAV brings it: ffmpeg_whip.py ENDPOINT SECONDS [OPTION=VALUE ...].

A process of its own, because PyAV holds the interpreter while the muxer waits for an answer.
"""

import sys
import time
from fractions import Fraction

import av
import numpy as np

ENCODER = {"preset": "ultrafast", "tune": "zerolatency", "profile": "baseline", "g": "15"}


def main(endpoint: str, seconds: str, *settings: str) -> None:
    options = {"authorization": "some-key", **dict(setting.split("=") for setting in settings)}
    with av.open(endpoint, "w", format="whip", options=options) as output:
        stream = output.add_stream("libx264", rate=15, options=ENCODER)
        stream.width, stream.height, stream.pix_fmt = 320, 240, "yuv420p"
        began = time.monotonic()
        for number in range(round(15 * float(seconds))):
            grey = np.full((240, 320, 3), number * 7 % 199, np.uint8)
            frame = av.VideoFrame.from_ndarray(grey, "rgb24")
            frame.pts, frame.time_base = number, Fraction(1, 15)
            output.mux(stream.encode(frame))
            time.sleep(max(0.0, began + number / 15 - time.monotonic()))
        output.mux(stream.encode())


main(*sys.argv[1:])
