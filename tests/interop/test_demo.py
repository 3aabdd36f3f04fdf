"""The demonstration does what it says, from an empty folder, without a terminal."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent


def test_demo() -> None:
    command = [sys.executable, str(ROOT / "examples" / "demo.py")]
    shown = subprocess.run(command, capture_output=True, text=True, timeout=120, cwd=ROOT, check=False)
    assert shown.returncode == 0, shown.stdout + shown.stderr
    assert "10 calls did what they should" in shown.stdout
    assert "✘" not in shown.stdout
