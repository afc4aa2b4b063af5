"""HTML pages that load nothing: the policy that lets exactly a page's own script and style run."""

import base64
import hashlib
import re


def policy_of(page: str) -> str:
    """The Content-Security-Policy of a page with one `<script>` and one `<style>`, which may talk to this server only."""
    policy = [
        "default-src 'none'",
        f"script-src {_hash(page, 'script')}",
        f"style-src {_hash(page, 'style')}",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    ]
    return "; ".join(policy)


def _hash(page: str, tag: str) -> str:
    found = re.search(rf"<{tag}>(.*?)</{tag}>", page, re.DOTALL)
    assert found is not None, f"the page has one <{tag}>"
    return f"'sha256-{base64.b64encode(hashlib.sha256(found.group(1).encode()).digest()).decode()}'"
