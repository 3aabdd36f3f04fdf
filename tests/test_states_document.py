"""docs/states.md shows what the code does."""

import importlib.util
from pathlib import Path

STATES = Path(__file__).parent.parent / "docs" / "states.py"


def test_the_diagrams_are_those_of_the_tables() -> None:
    spec = importlib.util.spec_from_file_location("states", STATES)
    assert spec is not None
    assert spec.loader is not None
    states = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(states)
    assert states.TARGET.read_text(encoding="utf-8") == states.document(), "run: make docs"
