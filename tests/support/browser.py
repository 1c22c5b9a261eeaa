"""Pages in a real browser, where there is one: what it complains of, and what does not fit."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")

_CLIPPED = """
() => {
  document.querySelectorAll('details').forEach(one => { one.open = true; });
  const found = [];
  const page = document.documentElement;
  if (page.scrollWidth > window.innerWidth) found.push(`page: ${page.scrollWidth} pixels wide`);
  for (const text of document.querySelectorAll('svg text')) {
    const [inner, outer] = [text, text.ownerSVGElement].map(one => one.getBoundingClientRect());
    const outside = Math.max(outer.left - inner.left, inner.right - outer.right, inner.bottom - outer.bottom);
    if (outside > 3) found.push(`drawing: ${text.textContent}: ${outside.toFixed(0)} pixels outside`);
  }
  const texts = 'h1, h2, h3, h4, p, pre, th, td, summary, a, button, label, figure, article, li';
  for (const one of document.querySelectorAll(texts)) {
    if (one.scrollWidth > one.clientWidth + 1 && getComputedStyle(one).display !== 'inline')
      found.push(`${one.tagName}: ${one.textContent.slice(0, 40)}`);
  }
  return found;
}
"""


def clipped(page: Any) -> list[str]:
    """Open all that is folded, and return the texts that do not fit their place.

    Args:
        page: A page of Playwright.
    """
    texts: list[str] = page.evaluate(_CLIPPED)
    return texts


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """A headless Chromium: Playwright's own, or the system's."""
    playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright (extra dev)")
    with playwright.sync_playwright() as started:
        own = started.chromium.executable_path
        path = own if Path(own).exists() else next(filter(None, map(shutil.which, BROWSERS)), None)
        if path is None:
            pytest.skip("needs Chromium: playwright install chromium, or the system's")
        opened = started.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield opened
        opened.close()


@pytest.fixture
def opened(browser: Any, tmp_path: Path) -> Iterator[Callable[..., Any]]:
    """Opens a page from disk; at the end, nothing was complained of and nothing was asked of a network."""
    messages: list[str] = []
    requests: list[str] = []

    def open_page(text: str, **options: Any) -> Any:
        path = tmp_path / "page.html"
        path.write_text(text, encoding="utf-8")
        shown = browser.new_page(**options)
        shown.on("console", lambda message: messages.append(message.text))
        shown.on("pageerror", lambda error: messages.append(str(error)))
        shown.on("request", lambda request: requests.append(request.url))
        shown.goto(path.as_uri())
        return shown

    yield open_page
    assert messages == []
    assert all(url.startswith("file:") for url in requests)
