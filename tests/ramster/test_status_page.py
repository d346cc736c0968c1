"""The status page's files: which there are, what they may load, whether they can be read."""

from __future__ import annotations

import re
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

import ramster
from ramster.addresses import Address
from ramster.stats_server import StatsServer
from ramster.status_page import PAGE_PATHS, page_file
from tests.ramster.test_stats_server import answered

FOLDER = Path(ramster.__file__).parent / "page"


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    server = StatsServer(answered, lambda: "starting")
    yield f"http://{server.start(Address('127.0.0.1', 0))}"
    server.close()


def test_every_file_of_the_folder_has_a_path_and_nothing_else_has() -> None:
    assert sorted(PAGE_PATHS.values()) == sorted(file.name for file in FOLDER.iterdir())
    for path in ("/page/", "/page/../figures.py", "/page/none.js", "/index.html", "//"):
        assert page_file(path) is None


@pytest.mark.parametrize("path", PAGE_PATHS)
def test_files_are_served_as_what_they_are_also_by_a_node_that_does_not_answer(
    url: str, path: str
) -> None:
    with urllib.request.urlopen(f"{url}{path}?v=1", timeout=10) as answer:
        assert answer.read() == (FOLDER / PAGE_PATHS[path]).read_bytes()
        policy = answer.headers["Content-Security-Policy"]
        assert policy.startswith("default-src 'none'; script-src 'self'; ")
        assert "unsafe" not in policy
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        kind = {"html": "text/html", "js": "text/javascript", "css": "text/css"}
        wanted = kind.get(PAGE_PATHS[path].rpartition(".")[2], "image/svg+xml")
        assert answer.headers["Content-Type"].startswith(wanted)


def test_a_head_request_gets_no_body_and_a_post_is_refused(url: str) -> None:
    with urllib.request.urlopen(urllib.request.Request(url, method="HEAD"), timeout=10) as answer:
        assert answer.read() == b""
        assert int(answer.headers["Content-Length"]) == len((FOLDER / "index.html").read_bytes())
    with pytest.raises(urllib.error.HTTPError, match="405") as refused:
        urllib.request.urlopen(urllib.request.Request(url, data=b"x"), timeout=10)
    refused.value.close()


@pytest.mark.parametrize("file", sorted(FOLDER.iterdir()), ids=lambda file: file.name)
def test_files_load_only_each_other_and_set_text_as_text(file: Path) -> None:
    text = file.read_text()
    for address in re.findall(r"https?://[^\s\"']+", text):
        assert address == "http://www.w3.org/2000/svg"  # a name, not a place
    for address in re.findall(r"(?:src|href)=\"([^\"#]+)\"", text):
        assert address in PAGE_PATHS or address in ("/stats", "/cluster", "/history", "/metrics")
    banned = r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|new Function|srcdoc"
    assert not re.search(banned, text)
    assert not re.search(r"<script>|\son\w+=|\sstyle=", text)


def colours(dark: bool) -> dict[str, str]:
    """The custom properties of one scheme; dark ones replace light ones."""
    css = (FOLDER / "style.css").read_text()
    light, _, rest = css.partition("@media (prefers-color-scheme: dark)")
    found = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{3,6});", light))
    if dark:
        found |= dict(re.findall(r"--([\w-]+): (#[0-9a-f]{3,6});", rest.partition("\n}")[0]))
    return found


def luminance(colour: str) -> float:
    """Relative luminance of WCAG 2.2."""
    digits = colour[1:] if len(colour) == 7 else "".join(2 * digit for digit in colour[1:])
    parts = [int(digits[at : at + 2], 16) / 255 for at in (0, 2, 4)]
    red, green, blue = (p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    bright, dim = sorted((luminance(one), luminance(other)), reverse=True)
    return (bright + 0.05) / (dim + 0.05)


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_text_stands_out_from_its_ground(dark: bool) -> None:
    """4.5 : 1 for text, WCAG 2.2 level AA."""
    found = colours(dark)
    pairs = [(ink, ground) for ink in ("ink", "soft") for ground in ("ground", "card")]
    for mood in ("good", "wait", "bad"):
        pairs += [(mood, f"{mood}-ground"), (mood, "card")]
    too_faint = {
        pair: ratio for pair in pairs if (ratio := contrast(found[pair[0]], found[pair[1]])) < 4.5
    }
    assert not too_faint
    assert contrast("#000", "#fff") == 21
