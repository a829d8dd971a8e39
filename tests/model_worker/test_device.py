"""Free memory, from this machine and from hand-made files."""

from pathlib import Path

import pytest
import torch

from model_worker import device
from model_worker.device import free_bytes

CPU = torch.device("cpu")


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine with 1000 kB available and a control group that leaves 300 kB."""
    (tmp_path / "meminfo").write_text("MemTotal: 4000 kB\nMemFree: 1 kB\nMemAvailable:  1000 kB\n")
    (tmp_path / "memory.max").write_text("1048576\n")
    (tmp_path / "memory.current").write_text("845824\n")
    (tmp_path / "memory.stat").write_text("anon 5\ninactive_file 104448\nactive_file 9\n")
    monkeypatch.setattr(device, "_MEMINFO", tmp_path / "meminfo")
    monkeypatch.setattr(device, "_CGROUP", tmp_path)
    return tmp_path


def test_this_machine_has_some_memory_free() -> None:
    free = free_bytes(CPU)
    assert free is not None
    assert 1e6 < free < 1e15


def test_the_lower_limit_holds(files: Path) -> None:
    assert free_bytes(CPU) == 300 * 1024
    (files / "memory.max").write_text("max\n")
    assert free_bytes(CPU) == 1000 * 1024


def test_a_control_group_beyond_its_limit_has_nothing_left(files: Path) -> None:
    (files / "memory.max").write_text("1024\n")
    assert free_bytes(CPU) == 0


def test_without_linux_pages_are_counted(files: Path) -> None:
    for file in files.iterdir():
        file.unlink()
    free = free_bytes(CPU)
    assert free is None or free > 0


def test_a_device_of_which_nothing_is_known_says_so() -> None:
    assert free_bytes(torch.device("meta")) is None


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_what_a_tensor_takes_is_not_free() -> None:
    cuda = torch.device("cuda")
    torch.empty(1, device=cuda)
    before = free_bytes(cuda)
    held = torch.empty(64 << 20, dtype=torch.uint8, device=cuda)
    after = free_bytes(cuda)
    assert before is not None
    assert after is not None
    assert before - after >= held.nbytes // 2
