"""What a real browser says of a page."""

from typing import Any

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
  const texts = 'h1, h2, h3, h4, p, th, td, summary, a, button, label, figure, article, li';
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
