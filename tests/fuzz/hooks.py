"""What schemathesis loads: who makes each request, and what of its input is real."""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Iterator
from typing import Any

import httpx
import schemathesis

from tests.fuzz.goods import GOODS, ORDER
from tests.fuzz.people import TOKENS, Tokens

URL = os.environ["FUZZ_URL"]
TOKENS_OF: Tokens = json.loads(os.environ[TOKENS])
LEAVING = ("/api/token/", "/api/tokens/{id}/")
ERASING = "/forget/"
REAL = 2  # of three requests
PLACES = ("address", "billing_address", "delivery_address")
PER_LOOK = 100
REJECTED = "Schema-valid request rejected"
PAUSED = "paused"
client = httpx.Client(base_url=URL, trust_env=False, timeout=30)
known: dict[str, list[str]] = {}
looked: dict[str, int] = {}


def pick(case: Any, number: int) -> int:
    """Pick one of some, always the same for the same request."""
    content = [case.method, case.path, case.path_parameters, case.query, case.body]
    return zlib.crc32(repr(content).encode("utf-8", "backslashreplace")) % number


@schemathesis.auth(refresh_interval=None, retry_on=[])
class Login:
    """Mostly somebody who may make the call, and sometimes a user who may not.

    `x-allowed` in the document names the permissions of people, and the services whose scope has the call.
    """

    def get(self, case: Any, _: Any) -> str | None:
        allowed = case.operation.definition.raw.get("x-allowed", {"people": [], "services": []})
        if case.method == "DELETE" and case.operation.path in LEAVING:
            return TOKENS_OF["leaver"]
        who = [*allowed["services"], *(["admin"] * 3 if allowed["people"] else []), "user"]
        return TOKENS_OF[who[pick(case, len(who))]]

    def set(self, case: Any, data: str, _: Any) -> None:
        case.headers["Authorization"] = data


@schemathesis.hook
def map_case(context: Any, case: Any) -> Any:
    """Put into most requests what exists: an id into the address, goods and a place into the body."""
    if case.meta is not None and pick(case, 3) < REAL:
        put_known_id(case)
        if case.meta.generation.mode.is_positive and isinstance(case.body, dict):
            put_known_goods(case.body)
    return case


def put_known_id(case: Any) -> None:
    parameters = case.path_parameters
    name = next(iter(parameters or ()), None)
    collection = case.operation.path.partition("{")[0]
    if name in ("id", "sku") and len(parameters) == 1 and (ids := find_ids(collection, name)):
        if case.operation.path.endswith(ERASING):
            # It would end the account with which requests are made.
            ids = sorted({*ids} - {*read_ids(collection, name, who="user")}) or [parameters[name]]
        parameters[name] = ids[pick(case, len(ids))]


def put_known_goods(body: dict[str, Any]) -> None:
    """Let an order be of goods that are sold, in their currency, and every place be one."""
    body.update({name: {**ORDER["address"]} for name in PLACES if isinstance(body.get(name), dict)})
    if "payment_token" in body and isinstance(body.get("lines"), list):
        body.pop("customer", None)
        body["currency"] = ORDER["currency"]
        body["lines"] = [
            {"sku": each["sku"], "quantity": 1} for _, each in zip(body["lines"], GOODS, strict=False)
        ]


def find_ids(collection: str, name: str) -> list[str]:
    """The ids, or SKUs, of the rows that a list shows now; it is read again after some requests."""
    looked[collection] = looked.get(collection, -1) + 1
    if looked[collection] % PER_LOOK == 0:
        known[collection] = sorted(read_ids(collection, name))
    return known[collection]


def read_ids(collection: str, name: str, *, who: str = "admin") -> Iterator[str]:
    who = "leaver" if collection == "/api/tokens/" else who
    answer = client.get(collection, params={"limit": 20}, headers={"Authorization": TOKENS_OF[who]})
    if answer.status_code == httpx.codes.OK:
        yield from (str(row[name]) for row in answer.json()["results"] if row.get(name))


@schemathesis.hook
def map_body(context: Any, body: Any) -> Any:
    """JSON Schema counts 1.0 as an integer. The API takes digits alone, since nobody counts 1.0 things."""
    match body:
        case float() if body.is_integer():
            return int(body)
        case dict():
            return {name: map_body(context, value) for name, value in body.items()}
        case list():
            return [map_body(context, value) for value in body]
    return body


@schemathesis.hook
def filter_failure(context: Any, failure: Any, case: Any, response: Any) -> bool:
    """Some refusals are right although the request fits the document.

    A cursor is this service's own text, so a made-up one is refused. And each country wants other parts of an address.
    The run itself pauses new sagas, and the answer to an order is 503 then.
    """
    if response.status_code == httpx.codes.SERVICE_UNAVAILABLE and response.json()["code"] == PAUSED:
        return False
    return failure.title != REJECTED or not is_refused(response, ("cursor", *PLACES))


def is_refused(response: Any, names: tuple[str, ...]) -> bool:
    """Whether a request is refused for these fields alone."""
    if response.status_code != httpx.codes.BAD_REQUEST:
        return False
    fields = {error["field"].partition(".")[0] for error in response.json().get("errors", ())}
    return bool(fields) and fields <= {*names}
