"""`python -m docs.source.runbook` prints docs/alerts.md as the HTML that the monitor serves at /runbook.

It is made here and shipped, so that the monitor needs neither a Markdown library nor a network when somebody is paged.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from html import escape
from itertools import pairwise
from pathlib import Path
from typing import Final

from markdown_it import MarkdownIt
from markdown_it.token import Token

SOURCE: Final = Path(__file__).resolve().parents[1] / "alerts.md"


def runbook(text: str) -> str:
    """The text as HTML: each heading can be linked to by its text in small letters, and a list leads to all alerts."""
    markdown = MarkdownIt("commonmark", {"html": False})
    tokens = markdown.parse(text)
    alerts = []
    for heading, content in pairwise(tokens):
        if heading.type == "heading_open":
            heading.attrSet("id", content.content.lower())
            if heading.tag == "h2":
                alerts.append(content.content)
    for token in tokens:
        token.children = None if token.children is None else list(_without_outside_links(token.children))
    links = "\n".join(f'<li><a href="#{escape(name.lower())}">{escape(name)}</a></li>' for name in alerts)
    body = str(markdown.renderer.render(tokens, markdown.options, {}))
    return f'<nav aria-label="Alerts">\n<ul>\n{links}\n</ul>\n</nav>\n<article>\n{body}</article>\n'


def _without_outside_links(children: Sequence[Token]) -> Iterator[Token]:
    """Other files of the project are not served: their names stay, as text."""
    outside = False
    for token in children:
        if token.type == "link_open":
            outside = not str(token.attrGet("href")).startswith("#")
        if not (outside and token.type in ("link_open", "link_close")):
            yield token


if __name__ == "__main__":
    sys.stdout.write(runbook(SOURCE.read_text()))
