"""What all tests share: no skips in CI, a quiet Ray, and a generated dataset."""

import os
import subprocess
from pathlib import Path

import pytest
from hypothesis import settings

# A first call may compile, and machines are shared: how long an example takes says nothing.
settings.register_profile("roadsense", deadline=None)
settings.load_profile("roadsense")

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")


# A sweep that is killed and resumed, and an ablation that is: whoever asks for them waits most of a minute.
_LONG_FIXTURES = frozenset({"swept", "ablation"})


def pytest_collection_modifyitems(config, items):
    """`ci` tests are left to .ci/run, so that `make test` stays short; `slow` tests run only when they are asked for by mark."""
    if os.environ.get("ROADSENSE_NO_SKIP") != "1" and "ci" not in (config.option.markexpr or "").split():
        for item in items:
            if "ci" in item.keywords or _LONG_FIXTURES.intersection(getattr(item, "fixturenames", ())):
                item.add_marker(pytest.mark.skip(reason="takes most of a minute: .ci/run, or with ROADSENSE_NO_SKIP=1"))
    if "slow" in (config.option.markexpr or ""):
        return
    kept, dropped = [], []
    for item in items:
        (dropped if "slow" in item.keywords else kept).append(item)
    if dropped:
        config.hook.pytest_deselected(items=dropped)
        items[:] = kept


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """In .ci/run a skip is an error: everything that a test needs has been installed there."""
    outcome = yield
    report = outcome.get_result()
    if report.skipped and os.environ.get("ROADSENSE_NO_SKIP") == "1" and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"skipped, but ROADSENSE_NO_SKIP=1: {report.longrepr}"


@pytest.fixture(scope="session")
def repository() -> Path:
    """The root of the source tree."""
    return Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def dataset_dir(tmp_path_factory) -> Path:
    """A small dataset of our own base scenarios: 12 train, 6 eval."""
    from roadsense.scenario.generate import GenerateSettings, generate

    directory = tmp_path_factory.mktemp("data") / "dataset"
    generate(GenerateSettings(output_dir=directory, seed=7, train_count=12, eval_count=6))
    return directory


@pytest.fixture
def display(monkeypatch):
    """An X server of our own; for tests that are marked `display`."""
    read_end, write_end = os.pipe()
    server = subprocess.Popen(
        ["Xvfb", "-displayfd", str(write_end), "-screen", "0", "800x600x24", "-nolisten", "tcp"],
        pass_fds=(write_end,),
        stderr=subprocess.DEVNULL,
    )
    os.close(write_end)
    with os.fdopen(read_end) as pipe:
        monkeypatch.setenv("DISPLAY", f":{pipe.readline().strip()}")
    yield
    server.terminate()
    server.wait(10)
