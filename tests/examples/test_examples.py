"""Each example as its own program, against the real service with the shipped model.

The sample clip stands in for the webcam: a guitar for its first nine seconds.
"""

import re
import subprocess
from pathlib import Path

import pytest

from tests.examples.conftest import CLIP, Run
from tests.lookback.conftest import ROOT


def line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def test_webcam_chat(run: Run) -> None:
    chat = run("webcam_chat.py", CLIP)
    assert "Ask" in line(chat)
    assert chat.stdin is not None
    for question, answer in (
        ("What is it now?", "It is a guitar."),
        ("Have you seen a dog?", "No, I have not seen a dog."),
        ("x" * 5000, "The question has 5000 characters; ask in at most 4000."),
    ):
        chat.stdin.write(question + "\n")
        chat.stdin.flush()
        assert line(chat) == answer
    said, _ = chat.communicate("\n", timeout=30)
    assert (said, chat.returncode) == ("", 0)


def test_robot(run: Run) -> None:
    robot = run("robot.py", 0.5)
    spans = [re.fullmatch(r".+ \(seen: \((.+), (.+)\) s\)", line(robot)) for _ in range(4)]
    ends = [float(span[2]) for span in spans if span]
    assert len(ends) == 4 and ends[0] < ends[3] and ends == sorted(ends)


def test_glasses_and_a_phone_and_openais_client(run: Run) -> None:
    glasses = run("glasses.py", CLIP)
    assert line(glasses) == "On the phone:"
    command = re.fullmatch(r"LOOKBACK_TOKEN=(\S+) python examples/phone\.py (\S+)", line(glasses))
    assert command
    token, session = command.groups()
    phone = run("phone.py", session, LOOKBACK_API_KEY="", LOOKBACK_TOKEN=token)
    assert line(phone) == "It is a guitar."
    other = run("openai_client.py", session, LOOKBACK_API_KEY="", LOOKBACK_TOKEN=token)
    assert line(other) == "It is a guitar."
    assert (phone.wait(30), other.wait(30)) == (0, 0)
    stranger = run("phone.py", session, LOOKBACK_TOKEN="nonsense")
    assert stranger.wait(30) != 0


def test_the_clients_readme(run: Run, service: dict[str, str], tmp_path: Path) -> None:
    text = (ROOT / "clients" / "python" / "README.md").read_text()
    [program] = re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)
    program = program.replace("http://127.0.0.1:8400", service["LOOKBACK_URL"])
    program = program.replace('")', f'", api_key="{service["LOOKBACK_API_KEY"]}")', 1)
    program = program.replace("import Camera", "import File").replace(
        "Camera(0)", f'File("{CLIP}")'
    )
    script = tmp_path / "readme.py"
    script.write_text(program)
    said, _ = run(script).communicate(timeout=60)
    first, _, second = said.partition(".")
    assert "guitar" in first and re.search(r"\(0\.0, .*\) [0-9.]+$", second.strip())


@pytest.mark.parametrize("path", sorted(ROOT.glob("examples/*.py")), ids=lambda path: path.name)
def test_an_example_is_short(path: object) -> None:
    text = ROOT.joinpath(str(path)).read_text()
    assert len(text.splitlines()) <= 40 and text.startswith('"""')
