"""A small REST client on the standard library, for the commands that talk to a running server."""

import json
import urllib.error
import urllib.request
from collections.abc import Mapping
from http.cookiejar import CookieJar
from pathlib import Path
from typing import Any
from uuid import uuid4

ANSWER_SECS = 120


class Refused(Exception):
    """The server refused or did not answer; the text is for people."""


class Rest:
    """Requests to one server: with cookies until `key` is set, with the key afterwards."""

    def __init__(self, url: str, key: str | None = None) -> None:
        self.url = url
        self.key = key
        self._opener = urllib.request.build_opener(
            urllib.request.HTTPCookieProcessor(CookieJar()), urllib.request.ProxyHandler({})
        )

    def get(self, path: str) -> Any:
        return self._send("GET", path, None, {})

    def post(self, path: str, body: Mapping[str, Any], headers: Mapping[str, str] | None = None) -> Any:
        sent = json.dumps(body).encode()
        return self._send("POST", path, sent, {"Content-Type": "application/json"} | dict(headers or {}))

    def upload(self, path: str, file: Path, **fields: str) -> Any:
        """A multipart form with the file under `file`."""
        mark = uuid4().hex
        parts = [
            f'--{mark}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n' for name, value in fields.items()
        ]
        head = (
            f'--{mark}\r\nContent-Disposition: form-data; name="file"; filename="{file.name}"\r\nContent-Type: text/csv\r\n\r\n'
        )
        body = "".join([*parts, head]).encode() + file.read_bytes() + f"\r\n--{mark}--\r\n".encode()
        return self._send("POST", path, body, {"Content-Type": f"multipart/form-data; boundary={mark}"})

    def _send(self, method: str, path: str, body: bytes | None, headers: Mapping[str, str]) -> Any:
        if self.key:
            headers = {**headers, "Authorization": f"Bearer {self.key}"}
        request = urllib.request.Request(self.url + path, body, dict(headers), method=method)  # noqa: S310 our own server
        try:
            with self._opener.open(request, timeout=ANSWER_SECS) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            raise Refused(f"{method} {path} was answered with {error.code}: {_detail(error.read())}") from error
        except (OSError, ValueError) as error:
            raise Refused(f"{method} {path} got no answer from {self.url} ({error}).") from error


def _detail(body: bytes) -> str:
    """The `detail` of an error, or the beginning of whatever came."""
    try:
        return str(json.loads(body)["detail"])
    except (ValueError, KeyError, TypeError):
        return body[:200].decode(errors="replace")
