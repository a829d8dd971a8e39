"""Programs of others that publish by WHIP, for tests of the gateway and of the whole service."""

import ipaddress
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NoReturn

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from broker.embedded import dies_with


def missing(words: str) -> NoReturn:
    """A test cannot run here; where everything was to be installed, that is a failure."""
    (pytest.fail if os.environ.get("CI") else pytest.skip)(words)


@contextmanager
def gstreamer(endpoint: str, *options: str) -> Iterator[subprocess.Popen[str]]:
    """GStreamer as a WHIP client; what it says goes to `stdout`."""
    python = shutil.which("python3", path="/usr/bin:/bin") or "python3"
    probe = "import gi; gi.require_version('GstWebRTC', '1.0')"
    if subprocess.run([python, "-c", probe], capture_output=True).returncode != 0:
        missing(
            "GStreamer is not installed: apt-get install python3-gi gir1.2-gst-plugins-bad-1.0 "
            "gstreamer1.0-nice gstreamer1.0-plugins-{bad,good,ugly}"
        )
    script = Path(__file__).with_name("gstreamer_whip.py")
    process = subprocess.Popen(
        [python, str(script), endpoint, *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ},
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


@contextmanager
def gstreamer_camera(
    codec: str, login: str = "", *, password: str = "", port: int = 0
) -> Iterator[tuple[int, subprocess.Popen[str]]]:
    """GStreamer as an IP camera that speaks RTSP: its port, and its process."""
    python = shutil.which("python3", path="/usr/bin:/bin") or "python3"
    probe = "import gi; gi.require_version('GstRtspServer', '1.0')"
    if subprocess.run([python, "-c", probe], capture_output=True).returncode != 0:
        missing(
            "GStreamer's RTSP server is not installed: apt-get install python3-gi "
            "gir1.2-gst-rtsp-server-1.0 gstreamer1.0-plugins-{base,good,bad,ugly}"
        )
    script = Path(__file__).with_name("gstreamer_rtsp.py")
    process = subprocess.Popen(
        [python, str(script), codec, login, str(port)],
        stdout=subprocess.PIPE,
        text=True,
        env={name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        | {"CAMERA_PASSWORD": password, "LC_ALL": "C.UTF-8"},
        preexec_fn=dies_with(os.getpid()),
    )
    try:
        assert process.stdout is not None
        yield int(process.stdout.readline()), process
    finally:
        process.kill()
        process.communicate()


def certificate(folder: Path) -> dict[str, str]:
    """ffmpeg's own, where it is built with GnuTLS, is on a curve that OpenSSL refuses (P-224)."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "camera")])
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder(
        name, name, key.public_key(), 1, now - timedelta(days=1), now + timedelta(days=1)
    ).add_extension(
        x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False
    )
    pem = serialization.Encoding.PEM
    files = {
        "cert_file": builder.sign(key, hashes.SHA256()).public_bytes(pem),
        "key_file": key.private_bytes(
            pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        ),
    }
    for which, content in files.items():
        (folder / which).write_bytes(content)
    return {which: str(folder / which) for which in files}


def chromium() -> str:
    for name in ("chromium", "chromium-browser", "google-chrome"):
        if path := shutil.which(name):
            return path
    return missing("Chromium is not installed: apt-get install --no-install-recommends chromium")


def datachannel_python() -> str:
    """A Python that has libdatachannel, the library of OBS, for which there are wheels from 3.12
    on; nothing of ours needs it."""
    for name in (sys.executable, "python3.12", "python3.13", "python3.14"):
        path = shutil.which(name)
        probe = "import av, libdatachannel, numpy"
        if path and subprocess.run([path, "-c", probe], capture_output=True).returncode == 0:
            return path
    pytest.skip("no Python here has libdatachannel: pip install libdatachannel-py av numpy")
