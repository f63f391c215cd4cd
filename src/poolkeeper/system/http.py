"""HTTP calls with a deadline; errors in Poolkeeper's tree."""

from __future__ import annotations

import ssl
from typing import Any

import httpx

from poolkeeper.core import errors

Auth = tuple[str, str]
# Made once: httpx would make one for each client, at 10 ms. A certificate is not checked: our own servers speak plain
# HTTP inside the cluster's network, and a foreign dashboard's name is the user's own choice.
_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
_TLS.check_hostname = False
_TLS.verify_mode = ssl.CERT_NONE


async def fetch(
    url: str,
    *,
    timeout: float,
    auth: Auth | None = None,
    method: str = "GET",
    body: Any = None,
) -> httpx.Response:
    """One request; any 2xx is returned.

    Raises Unreachable when nothing answers within `timeout` seconds, ServerRefused with the HTTP status otherwise.
    """
    try:
        async with httpx.AsyncClient(timeout=timeout, auth=auth, trust_env=False, verify=_TLS) as client:
            answer = await client.request(method, url, json=body)
    except httpx.HTTPError as e:
        raise errors.Unreachable(f"{url}: {type(e).__name__} {e}".rstrip()) from e
    if not answer.is_success:
        text = " ".join(answer.text.split())[:200]
        raise errors.ServerRefused(f"{url} answered {answer.status_code}: {text}", code=str(answer.status_code))
    return answer


async def fetch_json(
    url: str, *, timeout: float, auth: Auth | None = None, method: str = "GET", body: Any = None
) -> Any:
    """As `fetch`, the body read as JSON. Raises ServerRefused (code "json") for a body that is none."""
    answer = await fetch(url, timeout=timeout, auth=auth, method=method, body=body)
    try:
        return answer.json()
    except ValueError as e:
        raise errors.ServerRefused(f"{url} did not answer with JSON", code="json") from e
