"""HTTP calls with a deadline; errors in Poolkeeper's tree."""

from __future__ import annotations

import ssl
from typing import Any

import httpx

from poolkeeper.core import errors

Auth = tuple[str, str]
# Created once: httpx would create one per client, at 10 ms each. Certificates are not checked: our servers use plain
# HTTP inside the cluster's network, and the name of a foreign dashboard is the user's own choice.
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
    """Send one request, and return its answer if the status is 2xx.

    Raises:
        Unreachable: if no answer arrives within `timeout` seconds.
        ServerRefused: with the HTTP status, if it is not 2xx.
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
    """Send one request like `fetch`, and return the body as JSON.

    Raises:
        ServerRefused: with code "json", if the body is not JSON.
    """
    answer = await fetch(url, timeout=timeout, auth=auth, method=method, body=body)
    try:
        return answer.json()
    except ValueError as e:
        raise errors.ServerRefused(f"{url} did not answer with JSON", code="json") from e
