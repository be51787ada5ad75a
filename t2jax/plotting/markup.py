"""Small pieces of HTML, and the page they go into: semantic tags, one stylesheet, light, dark and print."""

from collections.abc import Sequence
from html import escape
from string import Template


def prose(text: str) -> str:
    """Escape a sentence and keep its percent signs beside their numbers."""
    return escape(text).replace(' %', '&nbsp;%')


def section(title: str, html: str) -> str:
    """Put a heading over HTML."""
    return f'<section><h2>{escape(title)}</h2>{html}</section>'


def bullets(sentences: Sequence[str]) -> str:
    """Write sentences as a list."""
    return '<ul>' + ''.join(f'<li>{prose(sentence)}</li>' for sentence in sentences) + '</ul>'


def cells(values: Sequence[str], texts: int = 1) -> str:
    """Write the cells of a table row; all but the first `texts` are numbers and align right."""
    return ''.join(f'<td{kind}>{escape(value)}</td>' for kind, value in zip(_kinds(values, texts), values))


def row(values: Sequence[str], texts: int = 1, strong: bool = False) -> str:
    """Write one table row; see `cells`."""
    return f'<tr{" class=strong" if strong else ""}>{cells(values, texts)}</tr>'


def table(head: Sequence[str], bodies: Sequence[str], note: str = '', texts: int = 1) -> str:
    """Write a table of groups of rows, which scrolls sideways where it is too wide, and a note under it."""
    names = ''.join(f'<th scope="col"{kind}>{escape(name)}</th>' for kind, name in zip(_kinds(head, texts), head))
    groups = ''.join(f'<tbody>{body}</tbody>' for body in bodies)
    whole = f'<div class="wide" tabindex="0"><table><thead><tr>{names}</tr></thead>{groups}</table></div>'
    return whole + (f'<p class="note">{prose(note)}</p>' if note else '')


def _kinds(values: Sequence[str], texts: int) -> list[str]:
    return ['' if at < texts else ' class="n"' for at in range(len(values))]


def document(lead: str, sections: Sequence[str]) -> str:
    """Write the page: the answer in one sentence, then the sections."""
    return _PAGE.substitute(style=_STYLE, lead=prose(lead), sections='\n'.join(sections))


_STYLE = """
:root { color-scheme: light dark; --ink: #1d2125; --faint: #5b636b; --paper: #fdfdfc; --line: #d9dde1;
  --warn: #fdf3dc; --edge: #c98a00; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e8ea; --faint: #a2a9b0; --paper: #16191c;
  --line: #363c42; --warn: #2e2715; --edge: #d9a441; } }
body { margin: 0 auto; padding: 1.5rem 1rem 4rem; max-width: 58rem; background: var(--paper);
  color: var(--ink); font: 1rem/1.55 system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif; }
h1 { font-size: 1.05rem; font-weight: 600; color: var(--faint); margin: 0 0 .5rem; }
.lead { font-size: 1.45rem; line-height: 1.35; font-weight: 600; margin: 0 0 1rem; text-wrap: balance; }
h2 { font-size: 1.2rem; margin: 2.5rem 0 .6rem; }
h3 { font-size: 1rem; margin: 1.6rem 0 .4rem; }
ul { padding-left: 1.2rem; } li { margin: .35rem 0; }
.caution { background: var(--warn); border-left: 4px solid var(--edge); padding: .1rem 1rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-size: .9rem; font-variant-numeric: tabular-nums; }
th, td { padding: .22rem .7rem; text-align: left; white-space: nowrap; vertical-align: top; }
thead th { border-bottom: 2px solid var(--line); }
tbody { border-bottom: 1px solid var(--line); }
th.n, td.n { text-align: right; }
.strong td { font-weight: 600; }
details td { white-space: normal; overflow-wrap: anywhere; }
.note, figcaption { color: var(--faint); font-size: .9rem; max-width: 48rem; margin: .6rem 0 0; }
.file { font-family: ui-monospace, monospace; font-size: .85em; white-space: nowrap; }
figure { margin: 0; }
img { display: block; width: 100%; min-width: 38rem; height: auto; background: #fff; border-radius: 6px;
  padding: .5rem; box-sizing: border-box; }
summary { cursor: pointer; font-weight: 600; margin: .8rem 0 .3rem; }
@media (max-width: 40rem) { table { font-size: .8rem; } th, td { padding: .2rem .35rem; }
  .lead { font-size: 1.25rem; } }
@media print { body { max-width: none; padding: 0; font-size: 10pt; } .wide { overflow: visible; }
  img { min-width: 0; } table { font-size: 8.5pt; } th, td { padding: .1rem .4rem; }
  figure, tr, .caution { break-inside: avoid; } h2 { break-after: avoid; } }
"""

_PAGE = Template("""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Train-to-test allocation</title>
<style>$style</style>
</head>
<body>
<main>
<h1>Train-to-test (T2) allocation: report of a study</h1>
<p class="lead">$lead</p>
$sections
</main>
</body>
</html>
""")
