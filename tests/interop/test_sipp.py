"""The SIPp scenarios of ``sipp_scenarios``, all played against one server."""

import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from sipp_scenarios.cases import CASES, Case
from sipp_scenarios.floor_cases import FLOOR_CASES, FloorCase
from sipp_scenarios.run import AT_ONCE, Stage
from sipp_scenarios.sipp import Verdict

EVERYTHING = (*CASES, *FLOOR_CASES)

if shutil.which("sipp") is None:
    print("skipped: sipp is not installed (apt-get install sip-tester)")
    pytest.skip("sipp is not installed (apt-get install sip-tester)", allow_module_level=True)


@pytest.fixture(scope="module")
def verdicts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Verdict]]:
    """All cases, played some at a time."""
    stage = Stage(CASES, tmp_path_factory.mktemp("sipp"), FLOOR_CASES)
    with stage, ThreadPoolExecutor(AT_ONCE) as pool:
        played = list(pool.map(stage.play, EVERYTHING))
    yield {verdict.name: verdict for verdict in played}
    assert stage.server.faults() == []


@pytest.mark.parametrize("case", EVERYTHING, ids=[case.name for case in EVERYTHING])
def test_scenario(case: Case | FloorCase, verdicts: dict[str, Verdict]) -> None:
    verdict = verdicts[case.name]
    if verdict.skipped:
        print(f"skipped: {verdict.skipped}")
        pytest.skip(verdict.skipped)
    assert verdict.faults == []
