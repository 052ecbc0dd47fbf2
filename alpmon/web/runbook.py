"""The runbook, served where the status page is: whoever is paged may reach nothing but the monitor.

Its HTML is made of docs/alerts.md by `make docs`.
"""

from __future__ import annotations

from html import escape
from importlib.resources import files
from typing import Final

from alpmon import __version__, web
from alpmon.web.assets import ASSETS

RUNBOOK: Final = "runbook"
"""Its path, relative to the status page."""


def runbook_page() -> str:
    """The whole page; it never changes while the monitor runs."""
    text = (files(web) / "assets" / "runbook.html").read_text("utf-8")
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>Runbook · alpmon</title>
<link rel="icon" href="{ASSETS["waiting.svg"].path}" type="image/svg+xml">
<link rel="stylesheet" href="{ASSETS["page.css"].path}">
<link rel="stylesheet" href="{ASSETS["runbook.css"].path}">
</head>
<body>
<header class="top">
<p class="name"><b>alpmon</b> <span class="dim">{escape(__version__)}</span></p>
<nav aria-label="Other views"><a href="./">Status page</a></nav>
</header>
<main>
{text}</main>
<footer class="dim">This is docs/alerts.md of alpmon {escape(__version__)}.</footer>
</body>
</html>
"""
