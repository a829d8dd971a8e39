"""What has become of a stream's packets and frames."""

from dataclasses import dataclass


@dataclass
class RtpCounters:
    """Packets: received = of the stream; lost = given up; late = after their turn, or twice;
    refused = from another source; ignored = of another payload type; malformed = no RTP.

    Frames: broken = not whole; skipped = whole, but a keyframe was waited for; crowded = came
    faster than they could be decoded; undecodable = refused by the decoder, or given back damaged.
    """

    packets_received: int = 0
    packets_lost: int = 0
    packets_late: int = 0
    packets_refused: int = 0
    packets_ignored: int = 0
    packets_malformed: int = 0
    frames_broken: int = 0
    frames_skipped: int = 0
    frames_crowded: int = 0
    frames_undecodable: int = 0
