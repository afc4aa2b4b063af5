"""What the libraries of PyPI say of webhooks: from each line `{secret, headers, body}` to `{standardwebhooks, svix}`."""

import json
import sys
from typing import Any

from standardwebhooks.webhooks import Webhook as Standard
from svix.webhooks import Webhook as Svix


def accepts(verifier: Any, asked: dict[str, Any]) -> bool:
    try:
        verifier(asked["secret"]).verify(asked["body"], asked["headers"])
    except Exception:
        return False
    return True


for line in sys.stdin:
    asked = json.loads(line)
    print(json.dumps({"standardwebhooks": accepts(Standard, asked), "svix": accepts(Svix, asked)}))
