"""The pages, opened in a real headless Chromium: quick, quiet, without the network, readable on a phone and in the dark."""

import shutil
import subprocess

import numpy as np
import pytest
from browser import CHROMIUM
from PIL import Image

from roadsense.cli import main
from roadsense.report.episode.page import write_replay

pytestmark = [pytest.mark.browser, pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed (apt-get install chromium)")]

DESK, PHONE = (1280, 900), (390, 844)
CHOOSE = "(() => { const choice = document.querySelector('%s'); choice.value = '%s'; choice.dispatchEvent(new Event('change')); })()"


@pytest.fixture(scope="module")
def report(tmp_path_factory, run_like):
    page = tmp_path_factory.mktemp("report") / "report.html"
    assert main(["report", str(run_like), "--output", str(page), "--replays", "3"]) == 0
    return page


@pytest.fixture(scope="module")
def replay_page(tmp_path_factory, crash):
    page = tmp_path_factory.mktemp("replay") / "replay.html"
    write_replay(crash[0], page)
    return page


@pytest.fixture(scope="module")
def dataset_page(tmp_path_factory, dataset_dir):
    page = tmp_path_factory.mktemp("inspect") / "dataset.html"
    assert main(["inspect", str(dataset_dir), "--output", str(page)]) == 0
    return page


@pytest.fixture(params=["report", "replay_page", "dataset_page"])
def page(request):
    return request.getfixturevalue(request.param)


@pytest.mark.parametrize("size", [DESK, PHONE], ids=["desk", "phone"])
def test_a_page_opens_at_once_and_asks_for_nothing(browser, page, size):
    browser.resize(*size, mobile=size == PHONE)
    seconds = min(browser.open(page) for _ in range(3))  # the machine may be busy with something else
    assert browser.errors == [] and browser.requests == []
    assert seconds < 2, f"{seconds:.1f} s"
    assert page.stat().st_size < 5_000_000
    # Nothing sticks out sideways: wide tables scroll in themselves.
    assert browser.evaluate("document.documentElement.scrollWidth") <= size[0]


def test_dark_is_dark_and_light_is_light(browser, page, tmp_path):
    mean = {}
    for dark in (False, True):
        browser.resize(*DESK, dark=dark)
        browser.open(page)
        mean[dark] = np.asarray(Image.open(browser.screenshot(tmp_path / f"{dark}.png", full=False)).convert("L")).mean()
    assert mean[False] > 200 and mean[True] < 60


@pytest.mark.parametrize("size", [DESK, PHONE], ids=["desk", "phone"])
def test_every_figure_is_shown_in_the_size_that_fits(browser, report, size):
    browser.resize(*size, mobile=size == PHONE)
    browser.open(report)
    shown, hidden = ("wide", "narrow") if size == DESK else ("narrow", "wide")
    count = browser.evaluate("document.querySelectorAll('figure').length")
    assert count == 7  # answer, outcomes, learning, heat map, bases, distributions, avoided
    for kind, expected in ((shown, count), (hidden, 0)):
        visible = f"[...document.querySelectorAll('figure svg.{kind}')].filter((svg) => svg.getBoundingClientRect().height > 60)"
        assert browser.evaluate(f"{visible}.length") == expected
    # No colour of matplotlib is left that would stay as it is in the dark, and every text of a figure can be read.
    fixed = (
        "[...document.querySelectorAll('figure svg [style]')].filter((part) => /(?<!url\\()#[0-9a-f]{3}/i.test(part.getAttribute('style')))"
    )
    assert browser.evaluate(f"{fixed}.length") == 0
    texts = f"[...document.querySelectorAll('figure svg.{shown} text')]"
    assert browser.evaluate(f"{texts}.every((text) => text.getBoundingClientRect().height > 6)")


def test_the_report_says_what_its_files_say(browser, report, run_like):
    import json

    figures = json.loads((run_like / "metrics.json").read_text())["evaluation"]
    browser.resize(*DESK)
    browser.open(report)
    text = browser.evaluate("document.body.innerText")
    assert f"{figures['critical_hazard_collisions']} of {figures['critical_hazards']}" in text
    assert f"{figures['eval_episodes']} episodes on {figures['scenarios_evaluated']} scenarios" in text
    for section in (
        "Learning curves",
        "Where it crashes",
        "Crashes avoided and caused",
        "Worst episodes",
        "Cost",
        "Provenance",
        "c0ffee",
        "not recorded",
    ):
        assert section in text, section


def test_the_worst_episodes_can_be_watched_one_after_the_other(browser, report):
    browser.resize(*DESK)
    browser.open(report)
    buttons = browser.evaluate("document.querySelectorAll('button.pick').length")
    assert buttons == 3
    # The first is unpacked when it comes into view, not before: that keeps opening quick.
    assert not browser.evaluate("!!document.querySelector('.player')")
    browser.evaluate("document.querySelector('.stage').scrollIntoView()")
    browser.wait_for("document.querySelector('.player-title')?.textContent")
    titles = []
    for place in range(buttons):
        browser.evaluate(f"document.querySelectorAll('button.pick')[{place}].click()")
        browser.wait_for(f"document.documentElement.dataset.watching === document.querySelectorAll('button.pick')[{place}].dataset.episode")
        titles.append(browser.evaluate("document.querySelector('.player-title').textContent"))
    assert titles == browser.evaluate("[...document.querySelectorAll('button.pick .what')].map((what) => what.textContent)")
    assert browser.errors == []


def test_the_player_shows_the_frame_it_says(browser, replay_page, crash):
    recording, _ = crash
    browser.resize(*DESK)
    browser.open(replay_page)
    place = lambda: int(browser.evaluate("document.querySelector('.player').dataset.place"))  # noqa: E731
    assert place() == round(recording.fired_s / 0.1) - 20  # two seconds before the hazard
    browser.press("Home")
    assert place() == 0
    browser.press("ArrowRight")
    assert place() == 1
    for _ in range(15):
        browser.press("ArrowRight")
    frame = recording.frames[16]
    readout = browser.evaluate("document.querySelector('.player-readout').innerText")
    assert f"{frame.situation.gap_m:.1f} m" in readout and f"{frame.situation.speed_mps:.1f} m/s" in readout
    browser.press("End")
    assert place() == len(recording.frames) - 1
    assert f"{recording.frames[-1].time_s:.1f} s" == browser.evaluate("document.querySelector('.player-clock').textContent")
    # Clicking an event goes to its moment.
    browser.evaluate("[...document.querySelectorAll('.player-events .event-hazard button')][0].click()")
    assert place() == round(recording.fired_s / 0.1)


def test_it_plays_in_real_time_and_in_slow_motion(browser, replay_page):
    browser.resize(*DESK)
    browser.open(replay_page)
    # The page's own clock, so that a busy machine makes no difference: simulated seconds over seconds played.
    ratio = """(async () => {
      const player = document.querySelector('.player'), rate = %s;
      document.querySelector(`[data-rate="${rate}"]`).click();
      document.dispatchEvent(new KeyboardEvent('keydown', { key: 'Home' })); document.body.dispatchEvent(new KeyboardEvent('keydown', { key: 'Home', bubbles: true }));
      const button = document.querySelector('.player-play');
      button.click();
      await new Promise(requestAnimationFrame);
      await new Promise(requestAnimationFrame);
      const began = performance.now(), first = parseFloat(player.querySelector('.player-clock').textContent);
      await new Promise((done) => setTimeout(done, 1500));
      await new Promise(requestAnimationFrame);
      const seconds = (performance.now() - began) / 1000, last = parseFloat(player.querySelector('.player-clock').textContent);
      button.click();
      return (last - first) / seconds;
    })()"""
    assert browser.evaluate(ratio % 1) == pytest.approx(1.0, abs=0.2)
    assert browser.evaluate(ratio % 0.25) == pytest.approx(0.25, abs=0.1)
    browser.press(" ", " ")
    assert browser.evaluate("document.querySelector('.player-play').getAttribute('aria-label')") == "pause"
    browser.press(" ", " ")
    assert browser.evaluate("document.querySelector('.player-play').getAttribute('aria-label')") == "play"


def test_the_canvas_shows_road_cars_and_links(browser, replay_page):
    """Counted in pixels of the very colours; choosing no links takes the links away and nothing else."""
    browser.resize(*DESK)
    browser.open(replay_page)
    count = """(name) => {
      const canvas = document.querySelector('canvas'), { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
      const probe = document.createElement('i'); probe.style.color = `var(--${name})`; document.querySelector('.player').append(probe);
      const [red, green, blue] = getComputedStyle(probe).color.match(/\\d+/g).map(Number); probe.remove();
      let found = 0;
      for (let at = 0; at < data.length; at += 4)
        if (Math.abs(data[at] - red) + Math.abs(data[at + 1] - green) + Math.abs(data[at + 2] - blue) < 24) found += 1;
      return found;
    }"""
    pixels = lambda: {name: browser.evaluate(f"({count})('{name}')") for name in ("road", "ego", "hazard", "heard")}  # noqa: E731
    browser.press("Home")
    seen = pixels()
    assert seen["road"] > 5000 and seen["ego"] > 200 and seen["hazard"] > 50 and seen["heard"] > 5
    pictures = {}
    for choice in ("none", "ego", "all"):
        browser.evaluate(CHOOSE % (".player select", choice))
        pictures[choice] = browser.evaluate(
            "[...document.querySelector('canvas').getContext('2d').getImageData(0, 0, 900, 200).data].join()"
        )
    different = {
        choice: sum(one != other for one, other in zip(pictures[choice].split(","), pictures["none"].split(","), strict=True))
        for choice in ("ego", "all")
    }
    assert 0 < different["ego"] < different["all"]


def test_the_contact_sheet_is_filtered(browser, dataset_page):
    browser.resize(*DESK)
    browser.open(dataset_page)
    shown = "[...document.querySelectorAll('.sheet > li')].filter((card) => !card.hidden).length"
    assert browser.evaluate(shown) == 18
    browser.evaluate(CHOOSE % ("[data-filter=split]", "eval"))
    assert browser.evaluate(shown) == 6
    assert "6 of 18" in browser.evaluate("document.querySelector('[data-count]').textContent")


@pytest.mark.skipif(shutil.which("pdftotext") is None, reason="pdftotext is not installed (apt-get install poppler-utils)")
def test_a_printed_report_holds_the_answer_and_no_buttons(browser, report, tmp_path):
    browser.resize(*DESK, dark=True)
    browser.open(report)
    (tmp_path / "report.pdf").write_bytes(browser.pdf())
    text = subprocess.run(["pdftotext", "-layout", tmp_path / "report.pdf", "-"], capture_output=True, text=True, check=True).stdout
    assert "crashes in critical hazards" in text and "Provenance" in text
    assert "0.25×" not in text
