"""ID tokens of OpenID Connect: Authlib checks the signature, issuer, audience, times and nonce of one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from authlib.oidc.core import CodeIDToken
from joserfc import jwt
from joserfc.jwk import KeySet

ALGORITHMS = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"]
"""Those that prove who signed: `none` does not, and the key of HS256 is known to the client, too."""
LEEWAY = 60
"""By how many seconds the provider's clock may differ from ours."""


def expect_claims(issuer: str, client: str) -> dict[str, dict[str, Any]]:
    """Return what Authlib has to find in an ID token for a client."""
    return {
        "iss": {"essential": True, "value": issuer},
        "aud": {"essential": True, "value": client},
        "exp": {"essential": True},
    }


def check_id_token(text: str, keys: Any, *, issuer: str, client: str, nonce: str) -> Mapping[str, Any]:
    """Return the claims of an ID token.

    Args:
        keys: the provider's, as it publishes them.
        nonce: of the request that the token answers.

    Raises:
        JoseError: something does not fit.
        ValueError: it is no token, or these are no keys.
    """
    token = jwt.decode(text, KeySet.import_key_set(keys), algorithms=ALGORITHMS)
    expected = expect_claims(issuer, client)
    claims = CodeIDToken(token.claims, token.header, expected, {"nonce": nonce, "client_id": client})
    claims.validate(leeway=LEEWAY)
    return dict(claims)
