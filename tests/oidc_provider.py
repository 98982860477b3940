"""A provider of OpenID Connect on this machine, as a process of its own: `python -m tests.oidc_provider PORT`.

The process is oidc-provider-mock. Its tokens are signed again with a key of ours, so that a test can have one that is
wrong in one way: `PUT /fault` with the claims to replace, and with `{"foreign_key": true}` a key that it does not
publish.
"""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx

from compose.local import ports

ALGORITHM = "RS256"


@dataclass(frozen=True)
class Provider:
    """A provider that runs."""

    issuer: str

    def set_user(self, subject: str, **claims: Any) -> None:
        """Let the provider know a person, with these claims."""
        httpx.put(f"{self.issuer}/users/{subject}", json=claims, timeout=10).raise_for_status()

    def break_token(self, **fault: Any) -> None:
        """Let each ID token from now on be wrong: with these claims in the place of the right ones; none: mend it."""
        httpx.put(f"{self.issuer}/fault", json=fault, timeout=10).raise_for_status()

    def let_in(self, address: str, subject: str) -> str:
        """Sign a person on at the address to which a client sent them; return where they are sent back to."""
        answer = httpx.post(address, data={"sub": subject}, timeout=10)
        assert answer.status_code == 302, answer.text
        return str(answer.headers["Location"])


def read_parameters(address: str) -> Mapping[str, str]:
    return {name: values[0] for name, values in parse_qs(urlsplit(address).query).items()}


@contextmanager
def serve_provider() -> Iterator[Provider]:
    """Run a provider while the block runs."""
    port = ports.free_port()
    process = subprocess.Popen([sys.executable, "-m", "tests.oidc_provider", str(port)])
    provider = Provider(f"http://127.0.0.1:{port}")
    try:
        wait_for(f"{provider.issuer}/jwks")
        yield provider
    finally:
        process.terminate()
        process.wait()


def wait_for(address: str) -> None:
    """Wait until a process that starts answers there: connecting is tried again, ever more rarely."""
    with httpx.Client(transport=httpx.HTTPTransport(retries=6), timeout=10) as client:
        client.get(address).raise_for_status()


def make_app() -> Any:
    import flask
    import oidc_provider_mock
    from joserfc import jwt
    from joserfc.jwk import RSAKey

    app = oidc_provider_mock.app()
    key, foreign = RSAKey.generate_key(2048), RSAKey.generate_key(2048)
    key.ensure_kid()
    fault: dict[str, Any] = {}

    @app.put("/fault")
    def set_fault() -> tuple[str, int]:
        fault.clear()
        fault.update(flask.request.json)
        return "", 204

    @app.after_request
    def sign_again(response: Any) -> Any:
        if flask.request.path == "/jwks":
            response.set_data(json.dumps({"keys": [key.as_dict(private=False)]}))
        if flask.request.path == "/oauth2/token" and response.status_code == 200:
            given = response.get_json()
            payload = given["id_token"].split(".")[1]
            claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
            wrong = {name: value for name, value in fault.items() if name != "foreign_key"}
            signer = foreign if fault.get("foreign_key") else key
            header = {"alg": ALGORITHM, "kid": key.kid}
            response.set_data(
                json.dumps({**given, "id_token": jwt.encode(header, {**claims, **wrong}, signer)})
            )
        return response

    return app


if __name__ == "__main__":
    # It answers over plain HTTP.
    os.environ["AUTHLIB_INSECURE_TRANSPORT"] = "1"
    from werkzeug.serving import run_simple

    run_simple("127.0.0.1", int(sys.argv[1]), make_app(), threaded=True)
