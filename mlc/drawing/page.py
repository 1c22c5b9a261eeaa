"""Pages for people: HTML files that open from disk, on wide and narrow screens.

A page loads nothing, and runs nothing but the one script it was given, if any: its Content-Security-Policy
forbids the rest. Text becomes a page only through `element`, which escapes it, so that a label called `<b>`
is shown as it is. Drawings are in `svg`.
"""

from base64 import b64encode
from collections.abc import Iterable, Sequence
from hashlib import sha256

from markupsafe import Markup, escape

from mlc.drawing.sections import Block, Code, Notes, Section, Table
from mlc.drawing.text_tables import visible

_VOID = ("meta", "input", "rect", "line", "circle", "polyline")


def element(name: str, /, *children: object, **attributes: object) -> Markup:
    """Return an HTML or SVG element.

    Children that are no markup, and all attributes, are escaped.

    Args:
        name: Its name.
        children: What it contains.
        attributes: `class_` is class, `stroke_width` is stroke-width; numbers have two digits.

    Examples:
        >>> element("td", "<b> & co", class_="number")
        Markup('<td class="number">&lt;b&gt; &amp; co</td>')
    """
    words = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{_escaped(_short(value))}"'
        for key, value in attributes.items()
    )
    if not children and name in _VOID:
        return Markup(f"<{name}{words}/>")
    return Markup(f"<{name}{words}>{joined(children)}</{name}>")


def joined(parts: Iterable[object]) -> Markup:
    """Return parts one after the other, escaped where they are no markup."""
    return Markup("".join(map(_escaped, parts)))


def _escaped(part: object) -> Markup:
    """Text as markup; control characters, which no page may hold, are written out."""
    return part if isinstance(part, Markup) else escape(visible(str(part)))


def _short(value: object) -> object:
    return f"{value:.2f}".rstrip("0").rstrip(".") if isinstance(value, float) else value


# ── tables ──────────────────────────────────────────────────────────────────────────────────────


def html_table(table: Table) -> Markup:
    """Return a table that scrolls sideways beside its first column if too wide."""

    def cells(kind: str, values: Iterable[object], **attributes: object) -> Markup:
        return joined(
            element(kind, value, class_="text" if at < table.texts else "number", **attributes)
            for at, value in enumerate(values)
        )

    terms = (_term(heading, table.terms.get(heading)) for heading in table.header)
    header: list[object] = [*terms, *([""] if table.shares else [])]
    bars = [[share_bar(share)] for share in table.shares] or [[] for _ in table.rows]
    body = (element("tr", cells("td", [*row, *bar])) for row, bar in zip(table.rows, bars, strict=True))
    parts = element("thead", element("tr", cells("th", header, scope="col"))), element("tbody", joined(body))
    return scrolling(element("table", *parts, **({"class_": "sortable"} if table.sortable else {})))


def _term(heading: str, meaning: str | None) -> object:
    """A heading, explained on hovering where its meaning is given."""
    return heading if meaning is None else element("abbr", heading, title=meaning)


def share_bar(share: float) -> Markup:
    """Return a share of a whole, in [0, 1], as a bar for a cell."""
    return element("span", element("span", style=f"width:{100 * share:.1f}%"), class_="bar")


def scrolling(content: Markup) -> Markup:
    """Return what may be wider than the screen so that it scrolls."""
    return element("div", content, class_="wide", tabindex=0, role="group", aria_label="scrolls sideways")


def _html_block(block: Block) -> Markup:
    match block:
        case Table():
            return html_table(block)
        case Notes():
            return joined(element("p", sentence, class_="faint") for sentence in block.sentences)
        case Code():
            return element("pre", block.text)
        case _:
            return block


# ── the shell ───────────────────────────────────────────────────────────────────────────────────


def legend(names: Sequence[str]) -> Markup:
    """Return names in the colours of a drawing, in their order."""
    return element(
        "p",
        joined(
            element("span", element("i"), name, class_=f"key colour-{at}") for at, name in enumerate(names)
        ),
        class_="legend",
    )


def page(
    title: str, lead: object, sections: Sequence[Section] = (), script: str = "", *, above: str = ""
) -> str:
    """Return the whole file.

    Args:
        title: Of the window, and the first line.
        lead: What matters most.
        sections: Its parts.
        above: A line above the title; none by default.
        script: What it runs: JavaScript without `<` and `&`, so that the page stays well-formed XML.
    """
    allowed = "default-src 'none'; style-src 'unsafe-inline'"
    if script:
        digest = b64encode(sha256(script.encode()).digest()).decode()
        allowed += f"; script-src 'sha256-{digest}'"
    links = (element("a", part.title, href=f"#part-{at}") for at, part in enumerate(sections))
    parts = (
        element(
            "section",
            element("h2", part.title),
            *([element("p", part.lead, class_="lead")] if part.lead else []),
            *map(_html_block, part.content),
            id=f"part-{at}",
        )
        for at, part in enumerate(sections)
    )
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        Markup(f'<meta http-equiv="Content-Security-Policy" content="{allowed}"/>'),
        element("title", title),
        element("style", Markup(_STYLE)),
    )
    body = element(
        "body",
        element(
            "header",
            *([element("p", above, class_="faint")] if above else []),
            element("h1", title),
            element("p", lead, class_="lead"),
            element("nav", *links, aria_label="sections"),
        ),
        element("main", *parts),
        *([element("script", Markup(script))] if script else []),
    )
    return f"<!doctype html>\n{element('html', head, body, lang='en')}\n"


_STYLE = """
:root {
  color-scheme: light dark;
  --paper: #fbfaf8; --card: #fff; --ink: #1d2126; --faint: #626a73; --rule: #e2e0db;
  --colour-0: #2f6fb0; --colour-1: #c98500; --colour-2: #1a8a66; --colour-3: #9aa2ab; --heat: #2f6fb0;
  --good: #14704f; --doubt: #875900; --ground: var(--paper);
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #14171a; --card: #1c2024; --ink: #e7e5e1; --faint: #9aa2ab; --rule: #31373d;
    --colour-0: #6aa9e4; --colour-1: #e6b04a; --colour-2: #4cc29b; --colour-3: #7d8690; --heat: #6aa9e4;
    --good: #4cc29b; --doubt: #e6b04a;
  }
}
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; }
body {
  margin: 0 auto; padding: 1.5rem clamp(1rem, 4vw, 3rem) 4rem; max-width: 76rem;
  background: var(--paper); color: var(--ink); font: 1rem/1.5 system-ui, sans-serif;
}
h1 { margin: .5rem 0; font-size: 1.75rem; line-height: 1.2; overflow-wrap: anywhere; }
h2 { margin: 2.5rem 0 .25rem; font-size: 1.25rem; }
h3 { margin: 0; font-size: .875rem; overflow-wrap: anywhere; }
.lead { margin: 0 0 1rem; max-width: 48rem; color: var(--faint); text-wrap: pretty; }
header .lead { font-size: 1.125rem; color: var(--ink); }
nav { display: flex; flex-wrap: wrap; gap: .25rem 1.25rem; font-size: .875rem; }
a { color: var(--colour-0); }
.wide {  /* a shadow on the right as long as there is more to the right */
  overflow-x: auto; max-width: 100%; scrollbar-width: thin;
  background: linear-gradient(to left, var(--ground) 40%, transparent) right / 3rem 100% no-repeat local,
    linear-gradient(to left, var(--rule), transparent) right / 1.25rem 100% no-repeat;
}
table { border-collapse: collapse; font-size: .875rem; font-variant-numeric: tabular-nums; }
th, td { padding: .3rem .9rem .3rem 0; border-bottom: 1px solid var(--rule); vertical-align: baseline; }
th { color: var(--faint); font-weight: 500; }
.text { text-align: left; min-width: 9rem; max-width: 22rem; overflow-wrap: break-word; }
td.text:last-child { max-width: 44rem; overflow-wrap: anywhere; }
.number { text-align: right; white-space: nowrap; }
th { vertical-align: bottom; } th.number { white-space: normal; }
th:first-child, td:first-child { position: sticky; left: 0; background: var(--ground); }
.bar { display: inline-block; width: 10rem; height: .6rem; border-radius: .3rem; background: var(--rule); }
.bar > span { display: block; height: 100%; border-radius: .3rem; background: var(--colour-0); }
.colour-0 { --colour: var(--colour-0); } .colour-1 { --colour: var(--colour-1); }
.colour-2 { --colour: var(--colour-2); } .colour-3 { --colour: var(--colour-3); }
.legend { display: flex; flex-wrap: wrap; gap: .25rem 1.25rem; margin: 0 0 .75rem; font-size: .875rem; }
.key > i {
  display: inline-block; width: .7rem; height: .7rem; margin-right: .4rem; border-radius: 50%;
  background: var(--colour);
}
.grid {
  --least: 17rem; display: grid; gap: .75rem;
  grid-template-columns: repeat(auto-fill, minmax(min(100%, var(--least)), 1fr));
}
.grid.large { --least: 26rem; align-items: start; }
figure {
  margin: 0; padding: .75rem; min-width: 0; border: 1px solid var(--rule); border-radius: .5rem;
  background: var(--card); --ground: var(--card);
}
pre { margin: .5rem 0 0; white-space: pre-wrap; overflow-wrap: anywhere; font-size: .75rem;
  line-height: 1.4; }
svg { display: block; width: 100%; max-width: 30rem; height: auto; overflow: visible;
  font: 10.5px system-ui, sans-serif; }
svg.fixed { width: auto; max-width: none; }
svg text { fill: var(--faint); }
svg .axis { stroke: var(--rule); stroke-width: 1; }
svg .curve { fill: none; stroke: var(--colour); stroke-width: 1.5; stroke-linejoin: round; }
svg .dot { fill: var(--colour); stroke: var(--card); stroke-width: .75; }
svg .cell { fill: var(--heat); } svg .cell-frame { fill: none; stroke: var(--rule); }
svg .strong { fill: var(--ink); }
svg .mark { stroke: var(--ink); stroke-width: 1.25; } svg .area { fill: var(--colour); opacity: .16; }
svg .bar-value { fill: var(--colour); }
svg .other { fill: var(--card); stroke: var(--faint); }
.cards { display: flex; flex-wrap: wrap; gap: .75rem; margin-bottom: 1rem; }
.cards > figure { flex: 1 1 14rem; } .large-number { font-size: 1.75rem; line-height: 1.3; }
.labels { display: grid; gap: .75rem;
  grid-template-columns: repeat(auto-fill, minmax(min(100%, 20rem), 1fr)); }
.label { padding: .75rem; min-width: 0; border: 1px solid var(--rule); border-radius: .5rem;
  background: var(--card); --ground: var(--card); }
.label:has(details[open]) { grid-column: 1 / -1; } .label > svg { max-width: 26rem; }
.label > p { margin: .4rem 0 0; font-size: .875rem; } .label details { border: 0; padding: .5rem 0 0; }
.label figure { border: 0; padding: 0; } .label summary { color: var(--colour-0); font-size: .875rem; }
.beside { display: grid; gap: 1.5rem;
  grid-template-columns: repeat(auto-fit, minmax(min(100%, 24rem), 1fr)); }
.label .beside { margin-top: 1rem; }
.badge { padding: .05rem .5rem; border-radius: 1rem; font-weight: 500; font-size: .75rem; white-space: nowrap;
  border: 1px solid var(--rule); color: var(--faint); }
.badge.trusted { border-color: var(--good); color: var(--good); }
.badge.weak { border-color: var(--doubt); color: var(--doubt); }
.ends { display: flex; justify-content: space-between; margin: 0 0 .5rem; font-size: .75rem;
  color: var(--faint); }
h4 { margin: 0 0 .25rem; font-size: .875rem; }
figure, article, p, summary { overflow-wrap: anywhere; }
th { overflow-wrap: normal; }
abbr { text-decoration: underline dotted var(--rule); cursor: help; }
select { max-width: 100%; font: inherit; color: inherit; background: var(--card);
  border: 1px solid var(--rule); border-radius: .3rem; padding: .1rem .3rem; }
.unseen { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }
:focus-visible { outline: 2px solid var(--colour-0); outline-offset: 2px; }
.label > .caption { margin: 0; font-size: .75rem; color: var(--faint); }
section > h3, .own, .explorer, .grid + .cards { margin-top: 1.25rem; }
.wide + .wide, figure + .wide { margin-top: 1rem; }
.faint { color: var(--faint); font-size: .875rem; } figure p { margin: .25rem 0 0; }
details { border-bottom: 1px solid var(--rule); padding: .4rem 0; }
summary { cursor: pointer; overflow-wrap: anywhere; } details[open] > summary { margin-bottom: .75rem; }
.cards details { border: 0; }
th button { all: unset; cursor: pointer; } th button:focus-visible { outline: 2px solid var(--colour-0); }
th[aria-sort=ascending] button::after { content: " \u2191" / ""; }
th[aria-sort=descending] button::after { content: " \u2193" / ""; }
input[type=range] { width: 100%; accent-color: var(--colour-0); }
textarea { width: 100%; min-height: 6rem; font: .75rem/1.4 ui-monospace, monospace; color: inherit;
  background: var(--card); border: 1px solid var(--rule); border-radius: .3rem; padding: .5rem; }
main button.action { padding: .3rem .8rem; font: inherit; font-size: .875rem; color: inherit; cursor: pointer;
  background: var(--card); border: 1px solid var(--rule); border-radius: .3rem; }
@media (max-width: 60rem) {
  th, td { padding-right: .55rem; } td.text, th.text { min-width: 7rem; } table { font-size: .8125rem; }
}
@page { size: landscape; margin: 1cm; }
@media print {
  :root { --paper: #fff; --card: #fff; --ink: #000; --faint: #444; --rule: #bbb; color-scheme: light;
    --colour-0: #2f6fb0; --colour-1: #a66d00; --colour-2: #12704f; --colour-3: #888; --heat: #2f6fb0;
    --good: #14704f; --doubt: #875900; }
  body { max-width: none; padding: 0; font-size: .8rem; }
  nav, .explorer, .action, .own, .label details, .screen, select { display: none; }
  .wide { overflow: visible; } figure, tr, .label { break-inside: avoid; }
  svg { max-height: 10rem; } svg.fixed { max-height: 26rem; } h2 { margin-top: 1rem; }
  .labels { grid-template-columns: repeat(5, 1fr); gap: .4rem; } .label { padding: .4rem; }
  .label > p { font-size: .65rem; margin: .15rem 0 0; }
  h2, summary { break-after: avoid; }
  table { font-size: .65rem; } th, td { padding-right: .4rem; } .text { min-width: 0; }
}
"""
