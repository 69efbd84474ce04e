import pytest

from roadsense.sumo.options import run_options


@pytest.mark.parametrize(
    "given",
    [
        ["--step-length", "1"],
        ["--step-length=1"],
        ["--seed", "9", "--random"],
        ["--srand", "9", "--abs-rand", "true"],
        ["--time-to-teleport", "-1", "--collision.action", "teleport"],
        ["-l", "/somewhere", "--remote-port", "1234", "--num-clients", "2", "-W"],
        ["--no-step-log", "--no-duration-log", "false", "-S", "-Q"],
    ],
)
def test_what_the_session_fixes_is_left_out(given):
    assert run_options(["-n", "a.net.xml", *given, "-r", "b.rou.xml"], seed=3) == run_options(
        ["-n", "a.net.xml", "-r", "b.rou.xml"], seed=3
    )


def test_what_the_caller_drives_is_kept_in_its_order():
    given = ["-n", "a.net.xml", "--begin", "-5", "--lateral-resolution=0.8", "--ignore-route-errors", "--route-files", "b.rou.xml"]
    assert run_options(given, seed=3)[: len(given)] == given


def test_values_are_not_mistaken_for_options():
    assert run_options(["--net-file", "seed", "random"], seed=3)[:3] == ["--net-file", "seed", "random"]


def test_a_window_starts_and_ends_on_its_own():
    assert set(run_options([], seed=3, gui=True)) - set(run_options([], seed=3)) == {
        "--start",
        "--quit-on-end",
        "--window-size",
        "1200,600",
    }
