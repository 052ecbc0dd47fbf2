"""`POST /-/reload`: take up the configuration file as it is now, or say why not."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, TypeAlias

from aiohttp import hdrs, web
from yarl import URL

Reload: TypeAlias = Callable[[], Sequence[str]]
"""Takes up the configuration; every mistake that keeps it from doing so, none if it has."""

NOTHING_TO_RELOAD: Final = "there is no configuration file to reload: start with `alpmon run --config FILE`"


def reload_route(reload: Reload | None) -> web.RouteDef:
    """The route: 200 once the new configuration is in force, 500 with a line a mistake while the old one stays.

    Without `reload` it answers 409: nothing is wrong, and there is no file.
    """

    async def handle(request: web.Request) -> web.Response:
        if not _same_site(request):
            raise web.HTTPForbidden
        if reload is None:
            return web.Response(status=409, text=f"{NOTHING_TO_RELOAD}\n")
        mistakes = reload()
        if mistakes:
            return web.Response(status=500, text="\n".join([*mistakes, ""]))
        return web.Response(text="reloaded\n")

    return web.post("/-/reload", handle)


def _same_site(request: web.Request) -> bool:
    """A page from elsewhere can make a browser send this; then the browser says where the page is from."""
    origin = request.headers.get(hdrs.ORIGIN)
    if origin is None:
        return True
    try:
        came_from = URL(origin).authority
    except ValueError:
        return False
    return came_from != "" and came_from == request.headers.get(hdrs.HOST)
