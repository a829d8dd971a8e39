"""The client of Lookback: publish a camera to a session, and ask about anything it has seen."""

from lookback_client.answer import Answer
from lookback_client.client import Lookback
from lookback_client.errors import (
    AnswerFailed,
    Busy,
    CameraError,
    CameraReplaced,
    LookbackError,
    NoFramesYet,
    NotAllowed,
    SessionLost,
    Unreachable,
)
from lookback_client.publication import Publication
from lookback_client.session import Session
from lookback_client.shapes import CameraState, Memory, SessionInfo, Token
from lookback_client.sources import Camera, File, Frame, Rtsp

__all__ = [
    "Answer",
    "AnswerFailed",
    "Busy",
    "Camera",
    "CameraError",
    "CameraReplaced",
    "CameraState",
    "File",
    "Frame",
    "Lookback",
    "LookbackError",
    "Memory",
    "NoFramesYet",
    "NotAllowed",
    "Publication",
    "Rtsp",
    "Session",
    "SessionInfo",
    "SessionLost",
    "Token",
    "Unreachable",
]
