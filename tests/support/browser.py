"""A real browser, for tests and pictures of the status page: Debian's Chromium, without a window.

Covers: starting it or skipping the test without it (failing where RAMSTER_REQUIRE_BROWSER=1), what
it asked for on the network, what it complained about, its size. Does not cover: what is looked at.

Selenium drives it through the distribution's own chromedriver; nothing is fetched for that.
"""

from __future__ import annotations

import base64
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

__all__ = ["Browser", "browser"]

_FLAGS = (
    "--headless=new",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-dev-shm-usage",
    "--disable-gpu",
    "--disable-sync",
    "--hide-scrollbars",
    "--no-default-browser-check",
    "--no-first-run",
    "--no-sandbox",  # tests run as root in containers, where Chromium refuses to start with it
)


class Browser:
    """One window."""

    def __init__(self, driver: Any) -> None:
        self.driver = driver

    def resize(self, width: int, height: int, *, dark: bool = False, scale: float = 1) -> None:
        """The page's own size in CSS pixels, and the scheme of colours that the reader wants."""
        size = {"width": width, "height": height, "deviceScaleFactor": scale, "mobile": False}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme]})

    def run(self, script: str, *arguments: object) -> Any:
        """What a script of ours in the page returns."""
        return self.driver.execute_script(script, *arguments)

    def picture(self, path: Path) -> None:
        """The whole page as PNG, below the edge of the window too."""
        found = self.driver.execute_cdp_cmd(
            "Page.captureScreenshot", {"format": "png", "captureBeyondViewport": True}
        )
        path.write_bytes(base64.b64decode(found["data"]))

    def requests(self) -> list[str]:
        """URLs that were asked for since the last call."""
        events = [json.loads(row["message"])["message"] for row in self._log("performance")]
        return [
            event["params"]["request"]["url"]
            for event in events
            if event["method"] == "Network.requestWillBeSent"
        ]

    def complaints(self) -> list[str]:
        """Lines on the console since the last call: errors, warnings, breaches of the policy."""
        return [f"{row['level']}: {row['message']}" for row in self._log("browser")]

    def _log(self, kind: str) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = self.driver.get_log(kind)
        return rows


def _missing(reason: str) -> None:
    if os.environ.get("RAMSTER_REQUIRE_BROWSER") == "1":
        pytest.fail(reason)
    pytest.skip(reason)


@contextmanager
def browser() -> Iterator[Browser]:
    """A browser with an empty profile; closed at the end."""
    chromium, driver_path = shutil.which("chromium"), shutil.which("chromedriver")
    if chromium is None or driver_path is None:
        _missing(f"{'chromium' if chromium is None else 'chromedriver'} is not installed")
    from selenium.webdriver import Chrome, ChromeOptions, ChromeService

    options = ChromeOptions()
    options.binary_location = str(chromium)
    for flag in _FLAGS:
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = Chrome(options=options, service=ChromeService(str(driver_path)))
    try:
        yield Browser(driver)
    finally:
        driver.quit()
