"""Where things are kept does not depend on where the program goes."""

from __future__ import annotations

from pathlib import Path

from tests.delivery.records import finish, run_python
from tokenmeter.engine.local import Engine

GOES_ON = """
    import tokenmeter
    os.chdir(sys.argv[1])
    os.mkdir("elsewhere")
    meter = tokenmeter.TokenMeter("sqlite:///usage.db", state_dir="state")
    os.chdir("elsewhere")
    meter.record("api_calls", usage={"request_count": 1})
    if not os.fork():
        meter.record("api_calls", usage={"request_count": 1})
        assert meter.flush(PATIENCE_S)
        os._exit(0)
    os.wait()
    assert meter.flush(PATIENCE_S)
    meter.shutdown()
"""


def test_a_program_that_changes_its_directory_and_forks_keeps_its_database(
    tmp_path: Path,
) -> None:
    finish(run_python(GOES_ON, tmp_path))
    assert list((tmp_path / "elsewhere").iterdir()) == []
    with Engine(f"sqlite:///{tmp_path / 'usage.db'}") as engine:
        assert engine.usage()[0].events == 2
