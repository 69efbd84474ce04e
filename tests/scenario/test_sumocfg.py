"""Reading third parties' configurations: inputs absolute, outputs gone, bad files refused in one line."""

import gzip
from pathlib import Path

import pytest

from roadsense.errors import DatasetError
from roadsense.scenario.sumocfg import input_options, read_sumocfg
from roadsense.scenario.xml_files import read_xml


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("net.xml", "a.rou.xml", "b.rou.xml", "c.add.xml"):
        (tmp_path / name).write_text("<x/>")
    return tmp_path


def write(folder: Path, content: str) -> Path:
    path = folder / "run.sumocfg"
    path.write_text(content)
    return path


def as_mapping(options: tuple[str, ...]) -> dict[str, str]:
    return dict(zip(options[::2], options[1::2], strict=True))


def test_sections_and_flat_give_the_same_options(folder: Path):
    sections = write(
        folder,
        "<configuration><input><net-file value='net.xml'/><route-files value='a.rou.xml,b.rou.xml'/><additional-files value='c.add.xml'/>"
        "</input><time><begin value='3'/></time><processing><lateral-resolution value='0.8'/></processing></configuration>",
    )
    expected = input_options(sections)
    flat = write(
        folder,
        "<configuration><n v='net.xml'/><routes value=' a.rou.xml , b.rou.xml '/><additional>c.add.xml</additional>"
        "<b value='3'/><lateral-resolution value='0.8'/></configuration>",
    )
    assert input_options(flat) == expected
    assert as_mapping(expected) == {
        "--net-file": str(folder / "net.xml"),
        "--route-files": f"{folder / 'a.rou.xml'},{folder / 'b.rou.xml'}",
        "--additional-files": str(folder / "c.add.xml"),
        "--begin": "3",
        "--lateral-resolution": "0.8",
    }


DROPPED = (
    "fcd-output", "fcd-output.geo", "tripinfo-output", "tripinfo", "summary", "summary-output", "netstate-dump", "vehroutes",
    "statistic-output", "collision-output", "output-prefix", "save-state.times", "device.ssm.probability", "device.ssm.file",
    "device.taxi.dispatch-algorithm.output", "log", "error-log", "message-log", "l", "remote-port", "num-clients", "gui-settings-file",
    "start", "quit-on-end", "delay", "seed", "srand", "random", "step-length", "collision.action", "collision.mingap-factor",
    "time-to-teleport", "verbose", "v", "no-warnings", "no-step-log", "duration-log.statistics", "precision", "window-size",
)  # fmt: skip
KEPT = ("random-depart-offset", "startup-wait-threshold", "ignore-route-errors", "time-to-impatience", "scale", "default.speeddev", "end",
        "weights.random-factor", "lanechange.duration", "max-depart-delay", "route-steps", "step-method.ballistic")  # fmt: skip


@pytest.mark.parametrize("name", DROPPED)
def test_what_would_race_or_belongs_to_the_session_is_dropped(folder: Path, name: str):
    cfg = write(folder, f"<configuration><net-file value='net.xml'/><{name} value='1'/></configuration>")
    assert list(as_mapping(input_options(cfg))) == ["--net-file"]


@pytest.mark.parametrize("name", KEPT)
def test_processing_and_time_are_kept(folder: Path, name: str):
    cfg = write(folder, f"<configuration><net-file value='net.xml'/><{name} value='1'/></configuration>")
    assert as_mapping(input_options(cfg))[f"--{name}"] == "1"


def test_sections_of_outputs_are_dropped_whole_but_never_an_input(folder: Path):
    cfg = write(
        folder, "<c><output><something-new value='x'/><net-file value='net.xml'/></output><gui_only><zoom value='1'/></gui_only></c>"
    )
    assert list(as_mapping(input_options(cfg))) == ["--net-file"]


def test_inputs_elsewhere_and_variables_are_resolved(folder: Path, monkeypatch):
    sub = folder / "sub folder"
    sub.mkdir()
    monkeypatch.setenv("WHERE", "..")
    cfg = write(sub, "<configuration><net-file value='${WHERE}/net.xml'/></configuration>")
    assert read_sumocfg(cfg).network == folder / "net.xml"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("<configuration><net-file value='gone.xml'/></configuration>", "gone.xml' does not exist"),
        ("<configuration><net-file value='net.xml'/><route-files value='a.rou.xml,gone.xml'/></configuration>", "gone.xml' does not exist"),
        ("<configuration><route-files value='a.rou.xml'/></configuration>", "names 0 networks"),
        ("<configuration><net-file value='net.xml'/><net value='net.xml'/></configuration>", "sets 'net-file' twice"),
        ("<configuration><net-file value='net.xml'/>", "not well-formed XML"),
        ("", "not well-formed XML"),
        ("<?xml version='1.0' encoding='klingon'?><a/>", "not well-formed XML"),
        ("<!DOCTYPE c [<!ENTITY a 'aaaa'><!ENTITY b '&a;&a;&a;'>]><c><net-file value='&b;'/></c>", "declares a DOCTYPE"),
        ("<!DOCTYPE c SYSTEM 'http://127.0.0.1/x.dtd'><c/>", "declares a DOCTYPE"),
    ],
)
def test_bad_configurations_are_one_line(folder: Path, content: str, message: str):
    with pytest.raises(DatasetError, match=message) as caught:
        input_options(write(folder, content))
    assert "\n" not in str(caught.value)


def test_missing_and_unreadable_files(tmp_path: Path):
    with pytest.raises(DatasetError, match="no such file"):
        input_options(tmp_path / "none.sumocfg")
    with pytest.raises(DatasetError, match="cannot be read"):
        input_options(tmp_path)
    cut = tmp_path / "cut.xml.gz"
    cut.write_bytes(gzip.compress(b"<a/>" * 100)[:-9])
    with pytest.raises(DatasetError, match="cannot be read"):
        read_xml(cut)


def test_comma_in_a_path_is_refused(tmp_path: Path):
    folder = tmp_path / "a,b"
    folder.mkdir()
    (folder / "net.xml").write_text("<x/>")
    with pytest.raises(DatasetError, match="path without commas"):
        input_options(write(folder, "<configuration><net-file value='net.xml'/></configuration>"))


def test_gzipped_files_are_read(tmp_path: Path):
    path = tmp_path / "a.xml.gz"
    path.write_bytes(gzip.compress(b"<a b='1'/>"))
    assert read_xml(path).get("b") == "1"
