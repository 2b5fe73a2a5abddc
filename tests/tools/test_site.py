"""The documentation's site: built without a warning, complete, and quiet in a real browser without a network."""

from __future__ import annotations

import functools
import http.server
import importlib
import inspect
import json
import os
import pkgutil
import re
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from hybrid.cli import app
from tools.pages import SCHEMA, cli_page, report_page

ROOT = Path(__file__).parents[2]
PAGES = ("index", "tutorial", "howto/choose-a-cut", "partition", "cli", "report-json", "reference/snn_export")


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The site as `make docs` builds it."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--quiet", "--strict", "--site-dir", str(folder)]
    quiet = os.environ | {"NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(command, cwd=ROOT, env=quiet, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


@pytest.fixture(scope="module")
def address(site):
    """The site behind a web server of this machine."""

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, directory=site)) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def forget(browser, address):
    """Leave the page, which keeps its scheme some time after it was loaded and perhaps again, then what it kept."""
    browser.page.goto("about:blank")
    session = browser.page.context.new_cdp_session(browser.page)
    session.send("Storage.clearDataForOrigin", {"origin": address, "storageTypes": "local_storage"})
    session.detach()


@pytest.mark.parametrize(("scheme", "pages"), [("light", PAGES), ("dark", PAGES[:1])])
def test_pages_load_without_an_error_or_a_request_to_elsewhere(address, browser, scheme, pages):
    for page in pages:
        forget(browser, address)
        browser.open(f"{address}/{page}.html", width=1280, scheme=scheme)
        browser.page.wait_for_load_state("networkidle")
        assert browser.problems == [], page
        assert [url for url in browser.requests if not url.startswith((address, "data:"))] == [], page
        assert browser.run("[...document.images].filter(x => !x.naturalWidth).map(x => x.src)") == [], page
        wanted = {"light": "default", "dark": "slate"}[scheme]
        browser.page.wait_for_function(f"document.body.dataset.mdColorScheme == '{wanted}'")


def test_no_page_is_wider_than_a_phone(address, browser):
    for page in PAGES:
        browser.open(f"{address}/{page}.html", width=380)
        assert browser.run("document.documentElement.scrollWidth") <= 380, page


def test_the_search_finds_a_class_of_the_reference(address, browser):
    browser.open(f"{address}/index.html", width=1280)
    browser.page.click("[data-md-component=search-query]")
    browser.page.keyboard.type("SpikingNetwork")
    browser.page.wait_for_selector(".md-search-result__item a[href*='reference/snn_export']")
    assert browser.problems == []


def test_the_reference_has_every_function_and_class_that_a_package_hands_out(site):
    found = set()
    for page in (site / "reference").glob("*.html"):
        found |= set(re.findall(r'<h\d id="([\w.]+)"', page.read_text()))
    missing = set()
    for root in ("hybrid", "snn_export", "ann_part", "hwsim"):
        for info in pkgutil.iter_modules(importlib.import_module(root).__path__, f"{root}."):
            if not info.ispkg or info.name == "hybrid.cli":
                continue
            module = importlib.import_module(info.name)
            for name in getattr(module, "__all__", ()):
                thing = getattr(module, name)
                names = {f"{info.name}.{name}", f"{getattr(thing, '__module__', '')}.{name}"}
                if (inspect.isclass(thing) or inspect.isfunction(thing)) and not names & found:
                    missing.add(f"{info.name}.{name}")
    assert len(found) > 300
    assert missing == set()


def test_the_page_of_commands_has_each_with_its_example_and_options():
    page = cli_page()
    for command in app.registered_commands:
        name = command.name or command.callback.__name__
        section = page.partition(f"\n## `hybrid {name}`\n")[2].partition("\n## ")[0]
        assert re.search(rf"Example: `hybrid {name}\b", section), name
        assert "--help" in section, name
    assert "[bold]" not in page
    assert "..." not in page.partition("**Commands**")[2].partition("\n## ")[0]


def test_the_page_of_the_report_has_every_field_of_its_schema():
    schema = json.loads(SCHEMA.read_text())
    page = report_page(schema)
    for part in (schema, *schema["$defs"].values()):
        for field in part.get("properties", ()):
            assert f"| `{field}` |" in page
