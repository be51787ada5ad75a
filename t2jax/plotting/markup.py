"""Small pieces of HTML, and the page they go into: semantic tags, one stylesheet inlined, nothing fetched."""

import re
from collections.abc import Sequence
from functools import cache
from html import escape
from importlib.resources import files
from string import Template

TITLE = 'Train-to-test (T2) allocation: report of a study'


def prose(text: str) -> str:
    """Escape a sentence and keep its percent signs beside their numbers."""
    return escape(text).replace(' %', '&nbsp;%')


def section(title: str, html: str, name: str = '', kind: str = '') -> str:
    """Put a heading over HTML; `name` is the id that links jump to (by default the title's words), `kind` a class."""
    name = name or re.sub(r'[^a-z0-9]+', '-', title.lower()).strip('-')
    attributes = f' id="{name}" aria-labelledby="{name}-title"' + (f' class="{kind}"' if kind else '')
    return f'<section{attributes}><h2 id="{name}-title">{escape(title)}</h2>{html}</section>'


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


def document(lead: str, sections: Sequence[str], title: str = TITLE) -> str:
    """Write the page: the answer in one sentence, links to the sections, the sections."""
    parts = {'title': escape(title), 'lead': prose(lead), 'contents': _contents(sections)}
    return _PAGE.substitute(style=asset('report.css'), sections='\n'.join(sections), **parts)


@cache
def asset(name: str) -> str:
    """Read a file of t2jax/plotting/assets, to be inlined."""
    return files('t2jax.plotting').joinpath('assets', name).read_text(encoding='utf-8')


def _contents(sections: Sequence[str]) -> str:
    """Link to every part that `section` wrote, if there are several."""
    found = re.findall(r'<section id="([^"]+)"[^>]*><h2[^>]*>(.*?)</h2>', ''.join(sections))
    if len(found) < 2:
        return ''
    links = ''.join(f'<li><a href="#{name}">{title}</a></li>' for name, title in found)
    return f'<nav class="contents" aria-label="Contents"><ul>{links}</ul></nav>'


_PAGE = Template("""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>$title</title>
<style>
$style</style>
</head>
<body>
<a class="skip" href="#answer">Skip to the answer</a>
<header><h1>$title</h1></header>
<main id="answer" tabindex="-1">
<p class="lead">$lead</p>
$contents
$sections
</main>
</body>
</html>
""")
