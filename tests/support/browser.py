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


_HARD_TO_READ = """
() => {
  const number = text => text.match(/[\\d.]+/g).map(Number);
  const light = colour => {
    const [r, g, b] = number(colour).map(one => one / 255)
      .map(one => one <= 0.04045 ? one / 12.92 : ((one + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const ground = one => {
    for (; one; one = one.parentElement) {
      const colour = getComputedStyle(one).backgroundColor;
      if (number(colour)[3] !== 0) return colour;
    }
  };
  const found = new Set();
  for (const one of document.querySelectorAll('body *')) {
    const own = [...one.childNodes].some(node => node.nodeType === 3 && node.textContent.trim());
    const box = one.getBoundingClientRect();
    if (!own || box.width < 2 || one.closest('script')) continue;
    const style = getComputedStyle(one), drawn = one.ownerSVGElement;
    const scale = drawn ? drawn.getBoundingClientRect().width / drawn.viewBox.baseVal.width : 1;
    const name = `${one.tagName} ${one.className.baseVal ?? one.className}: ${one.textContent.slice(0, 30)}`;
    const size = scale * parseFloat(style.fontSize);
    if (size < 8.5 || size > 30) found.add(`${name}: ${size.toFixed(1)} pixels`);
    if (drawn && drawn.classList.contains('fixed')) continue;
    const shades = [light(drawn ? style.fill : style.color), light(ground(one))].sort();
    const contrast = (Math.max(...shades) + 0.05) / (Math.min(...shades) + 0.05);
    if (contrast < 4.5) found.add(`${name}: contrast ${contrast.toFixed(1)}`);
  }
  return [...found];
}
"""


def hard_to_read(page: Any) -> list[str]:
    """Return the texts that are too small, too large or too pale (WCAG AA: a contrast of 4.5).

    Args:
        page: A page of Playwright.
    """
    texts: list[str] = page.evaluate(_HARD_TO_READ)
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
