"""The explorer: a page to write operations and to read the schema. One file, nothing loaded from elsewhere, development only."""

from functools import lru_cache
from pathlib import Path

from starlette.responses import HTMLResponse

from edge.page import policy_of

PAGE = Path(__file__).with_name("explorer.html")


@lru_cache(maxsize=1)
def _page() -> tuple[str, str]:
    text = PAGE.read_text(encoding="utf-8")
    return text, policy_of(text)


def explorer_page() -> HTMLResponse:
    text, policy = _page()
    return HTMLResponse(text, headers={"Content-Security-Policy": policy, "Cache-Control": "no-cache"})
