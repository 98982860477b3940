"""Flower's sign-on at a provider of OpenID Connect: its handler for Okta, at the addresses that the provider publishes.

Flower's own trusts what it fetches with an access token. Here the ID token is checked, with its nonce. With
`OIDC_ISSUER` and `FLOWER_AUTH` it takes the place of Flower's password: Flower has either of them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from authlib.common.security import generate_token
from flower.utils.authentication import authenticate
from flower.views.auth import OktaLoginHandler, get_next_url
from joserfc.errors import JoseError
from tornado.auth import AuthError
from tornado.httpclient import HTTPClientError
from tornado.web import HTTPError

from celery_config.common.roles import list_roles
from celery_config.http.id_tokens import check_id_token
from celery_config.settings.addresses import flower_public_url
from celery_config.settings.environment import env
from celery_config.settings.sign_on import read_groups

PATH = "compose.local.flower_sign_on.SignOnHandler"
SECONDS = 10.0
NONCE = "oauth_nonce"


def read_options() -> dict[str, Any]:
    """Return Flower's options for the sign-on; empty: people log in with a password."""
    if not (env.str("OIDC_ISSUER", "") and env.str("FLOWER_AUTH", "")):
        return {}
    return {
        "auth": env.str("FLOWER_AUTH"),
        "auth_provider": PATH,
        "oauth2_key": env.str("FLOWER_OIDC_CLIENT_ID", "") or env.str("OIDC_CLIENT_ID", ""),
        "oauth2_secret": env.str("FLOWER_OIDC_CLIENT_SECRET", "") or env.str("OIDC_CLIENT_SECRET", ""),
        "oauth2_redirect_uri": f"{flower_public_url().rstrip('/')}/login",
    }


def list_missing(options: Mapping[str, str]) -> list[str]:
    """Return the names of the variables that a sign-on needs and the environment lacks.

    Args:
        options: as of `read_options`.
    """
    needed = {"FLOWER_PUBLIC_URL": flower_public_url(), "OIDC_CLIENT_ID": options["oauth2_key"]}
    needed["OIDC_CLIENT_SECRET"] = options["oauth2_secret"]
    return [name for name, value in needed.items() if not value]


class SignOnHandler(OktaLoginHandler):  # type: ignore[misc]
    """Lets in who is in one of the groups of `OIDC_GROUPS` and has an e-mail address that fits `FLOWER_AUTH`."""

    _OAUTH_AUTHORIZE_URL = ""

    async def get(self) -> None:
        client, issuer = self.settings[self._OAUTH_SETTINGS_KEY], env.str("OIDC_ISSUER").rstrip("/")
        try:
            provider = await self.fetch(f"{issuer}/.well-known/openid-configuration")
            if not self.get_argument("code", False):
                self.send_away(provider, client)
                return
            self.verify_oauth_state()
            nonce = (self.get_secure_cookie(NONCE) or b"").decode()
            self.clear_cookie(NONCE)
            if not nonce:
                raise AuthError("there is no nonce")
            asked = {
                "grant_type": "authorization_code",
                "code": self.get_argument("code", escape=False),
                "redirect_uri": client["redirect_uri"],
                "client_id": client["key"],
                "client_secret": client["secret"],
            }
            token = await self.fetch(provider["token_endpoint"], method="POST", body=urlencode(asked))
            keys = await self.fetch(provider["jwks_uri"])
            claims = check_id_token(token["id_token"], keys, issuer=issuer, client=client["key"], nonce=nonce)
        except (HTTPClientError, JoseError, KeyError, ValueError, OSError) as error:
            raise AuthError(f"the sign-on failed: {type(error).__name__}") from error
        self.let_in(claims)

    def send_away(self, provider: dict[str, Any], client: dict[str, str]) -> None:
        """Send the person to the provider."""
        self._OAUTH_AUTHORIZE_URL = provider["authorization_endpoint"]
        nonce = generate_token(32)
        self.set_secure_cookie(NONCE, nonce, expires_days=None)
        self.authorize_redirect(
            redirect_uri=client["redirect_uri"], client_id=client["key"], scope=["openid email profile"],
            response_type="code", extra_params={"state": self.set_oauth_state(), "nonce": nonce},
        )  # fmt: skip

    def let_in(self, claims: Any) -> None:
        """Give the person a cookie for as long as a session of the admin pages lasts."""
        email = str(claims.get("email") or "")
        # Some providers write it as a text, and each text would be true.
        is_verified = claims.get("email_verified") in (True, "true")
        groups = read_groups(env.list("OIDC_GROUPS", default=[]))
        roles = list_roles(claims.get(env.str("OIDC_GROUPS_CLAIM", "groups")), groups)
        if not (roles and is_verified and authenticate(self.application.options.auth, email)):
            raise HTTPError(403, "This account may not see Flower. Ask an administrator.")
        self.set_secure_cookie("user", email, expires_days=env.float("SESSION_HOURS", 8) / 24)
        self.redirect(get_next_url(self))

    async def fetch(self, address: str, **options: Any) -> Any:
        """Return the JSON at an address.

        Raises:
            HTTPClientError: the answer is an error, or did not come in time.
            ValueError: it is no JSON.
        """
        answer = await self.get_auth_http_client().fetch(
            address, headers={"Accept": "application/json"}, request_timeout=SECONDS, **options
        )
        return json.loads(answer.body)
