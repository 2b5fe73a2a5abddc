"""The page in a real browser: drawn, quiet, offline, by keyboard, light and dark, on a phone, with 1,000 videos."""

from __future__ import annotations

import itertools

import pytest
from PIL import Image

from hybrid.report.figures import histogram
from hybrid.report.model import Failure
from hybrid.report.render import ROWS, write_report
from hybrid.runtime.run import run_videos, settings_of

FIGURES = ("energy", "timeline", "stages", "cores", "steps")


@pytest.fixture(scope="module")
def report(bundle, demo_clips):
    return run_videos(bundle, demo_clips, settings_of(bundle, check=["torch"], device="cpu"))


@pytest.fixture(scope="module")
def many(report):
    """A thousand rows with the figures of the two real runs, stretched, and two failures."""
    rows = []
    for i in range(1000):
        row = report.videos[i % 2]
        energy = row.energy_j.model_copy(update={"nominal": row.energy_j.nominal * (1 + i / 1000)})
        rows.append(row.model_copy(update={"video": f"clips/video{i:04}.avi", "energy_j": energy}))
    failures = [Failure(video=f"bad{i}.avi", where="bad", what="it has no I-frame", fix="give another") for i in (1, 2)]
    return report.model_copy(update={"videos": tuple(rows), "failures": tuple(failures)})


def page(report, folder):
    return write_report(report, folder)[1]


def test_every_figure_is_drawn_without_an_error_or_a_request(browser, report, tmp_path):
    path = page(report, tmp_path)
    browser.open(path)
    for name in FIGURES:
        box = browser.run(f"JSON.stringify(document.getElementById('figure-{name}').getBoundingClientRect())")
        assert '"width":0' not in box
        assert '"height":0' not in box
        assert browser.run(f"document.querySelectorAll('#figure-{name} [data-hint]').length") > 0
    widths = browser.run("[...document.querySelectorAll('#figure-energy .fill')].map(x => x.offsetWidth)")
    joules = [part.energy_j.nominal for part in report.energy_j.by_kind if part.energy_j.high > 0]
    assert widths.index(max(widths)) == joules.index(max(joules))
    assert browser.problems == []
    assert [url for url in browser.requests if not url.startswith(("file:", "data:"))] == []


def test_the_page_forbids_itself_every_request(browser, report, tmp_path):
    browser.open(page(report, tmp_path))
    refused = "fetch('https://example.org/').then(() => 'sent', () => 'refused')"
    assert browser.run(refused) == "refused"
    assert any("Content Security Policy" in problem for problem in browser.problems)


def test_marks_and_sorting_are_reached_by_keyboard(browser, many, tmp_path):
    browser.open(page(many, tmp_path))
    browser.page.keyboard.press("Tab")
    assert browser.run("document.activeElement.className") == "skip"
    browser.page.focus("#figure-energy li")
    assert browser.run("document.getElementById('tip').hidden") is False
    assert "estimate" in browser.run("document.getElementById('tip').textContent")
    browser.page.keyboard.press("Escape")
    assert browser.run("document.getElementById('tip').hidden") is True
    browser.page.locator("#videos th button").nth(4).focus()
    energies = "[...document.querySelectorAll('#videos tbody tr')].map(row => +row.cells[4].dataset.v)"
    for order in (1, -1):
        browser.page.keyboard.press("Enter")
        found = browser.run(energies)
        assert found == sorted(found, reverse=order < 0)
    assert browser.run("document.querySelectorAll('#videos th')[4].getAttribute('aria-sort')") == "descending"


def test_a_mark_explains_itself_under_the_mouse(browser, report, tmp_path):
    browser.open(page(report, tmp_path))
    browser.page.hover("#figure-energy li")
    assert browser.page.is_visible("#tip")
    assert "estimate" in browser.page.inner_text("#tip")
    browser.page.mouse.move(0, 0)
    assert not browser.page.is_visible("#tip")


def test_everything_has_a_name_for_a_screen_reader(browser, many, tmp_path):
    browser.open(page(many, tmp_path))
    nameless = """[...document.querySelectorAll('svg, img, button, input, ul.bars, ol.columns, ol.columns li')].filter(
        x => !(x.getAttribute('aria-label') || x.textContent.trim() || x.closest('label'))).length"""
    assert browser.run(nameless) == 0
    assert browser.run("document.documentElement.lang") == "en"
    levels = browser.run("[...document.querySelectorAll('h1, h2, h3')].map(x => +x.tagName[1])")
    assert levels[0] == 1
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels))


def test_a_run_of_a_thousand_videos_stays_small_and_searchable(browser, many, tmp_path):
    path = page(many, tmp_path)
    assert path.stat().st_size < 1_000_000
    browser.open(path)
    assert browser.run("document.querySelectorAll('#videos tbody tr').length") == 1000
    assert "2 of 1,002 videos failed" in browser.run("document.body.innerText")
    browser.page.fill("input[data-table]", "video0123")
    assert browser.run("[...document.querySelectorAll('#videos tbody tr')].filter(row => !row.hidden).length") == 1
    assert browser.problems == []
    assert ROWS >= 1000


def test_light_dark_and_phone_differ_as_they_should(browser, many, tmp_path):
    path = page(many, tmp_path)
    colours = {}
    for scheme in ("light", "dark"):
        browser.open(path, scheme=scheme)
        browser.page.screenshot(path=tmp_path / f"{scheme}.png")
        colours[scheme] = sum(Image.open(tmp_path / f"{scheme}.png").convert("RGB").getpixel((0, 0)))
    assert colours["light"] > 700
    assert colours["dark"] < 120
    browser.open(path, width=380)
    assert browser.run("document.documentElement.scrollWidth") <= 380


def test_a_histogram_counts_every_video_once():
    found = histogram([1.0, 1.0, 2.0, 3.0, 5.0], "J")
    assert sum(int(bar.value) for bar in found) == 5
    assert found[0].value == "2"
    assert found[-1].value == "1"
    assert [bar.value for bar in histogram([2.0] * 7, "J")] == ["7"]
