"""What goes with every answer: headers that keep a browser narrow, and errors in plain JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from aiohttp import web

from guard.web.pages import page
from guard.web.site import encoded, json_answer

if TYPE_CHECKING:
    from aiohttp.typedefs import Handler

HEADERS: Final = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Server": "guard",
}
_KEPT = ("Allow", "Retry-After")


async def protect(_request: web.Request, response: web.StreamResponse) -> None:
    """Put the headers on, whatever the answer is."""
    response.headers.update(HEADERS)


@web.middleware
async def explain(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer an error as `{"error": …}`, and to a person at a page as a page."""
    try:
        return await handler(request)
    except web.HTTPError as error:
        answer = await _answer(request, error)
        for name in _KEPT:
            if name in error.headers:
                answer.headers[name] = error.headers[name]
        return answer


async def _answer(request: web.Request, error: web.HTTPError) -> web.Response:
    words = _words(request, error)
    if request.path.startswith("/rollouts/"):
        title = "This rollout is not here" if error.status == web.HTTPNotFound.status_code else ""
        return await page(
            request, "error.html", status=error.status, title=title or error.reason, text=words
        )
    return json_answer(encoded({"error": words}), status=error.status)


def _words(request: web.Request, error: web.HTTPError) -> str:
    """Our own words where we raised it; aiohttp's own are its status line."""
    if isinstance(error, web.HTTPMethodNotAllowed):
        return f"{request.method} is not for this address: everything here only reads"
    if error.text and error.text != f"{error.status}: {error.reason}":
        return error.text
    return "no such address" if error.status == web.HTTPNotFound.status_code else error.reason
