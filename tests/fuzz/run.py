"""`./manage.py fuzz`: schemathesis sends each service requests of every kind, and finds no answer but those of its API document."""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from rich.console import Console

from celery_config.common.arguments import parse_count
from celery_config.common.services import SERVICES
from compose.local.environment import ROOT, var_folder, without_servers
from compose.local.shopper import Shopper
from compose.local.stack import Stack
from tests.fuzz.people import TOKENS, gather_tokens

CASES = 5000
QUICK_CASES = 400
SEEDS = (20261128, 7)
CONFIG = ROOT / "tests" / "fuzz" / "schemathesis.toml"
# Nothing is refused for being the many-thousandth, except logins, whose lock is part of the API.
SETTINGS = {"VERB_RATE": "1000000/minute", "TOKEN_RATE": "1000000/minute", "LOGIN_FAILURES": "1000000"}
SIDE_BY_SIDE = 2
GOODS = [
    {"sku": sku, "name": f"Product {sku}", "price": price, "currency": "EUR", "weight_grams": 300, "active": True}
    for sku, price in (("TEA", 890), ("KETTLE", 4990), ("MUG", 1250))
]
ADDRESS = {
    "name": "Ada Example", "line1": "1 Harbour Street", "city": "Dublin", "postal_code": "D02 X285", "country": "IE",
}  # fmt: skip
ORDERS = 12


@dataclass(frozen=True)
class Fuzzed:
    """The requests to one service with one seed, and the number of different faults."""

    service: str
    seed: int
    cases: int
    faults: int
    seconds: float
    output: str


def main(argv: list[str]) -> int:
    options = parse(argv)
    console = Console(highlight=False)
    seeds = options.seed or ([*SEEDS] if options.quick else [*SEEDS, random.randrange(2**32)])
    cases = options.cases or (QUICK_CASES if options.quick else CASES)
    services = options.service or [*SERVICES]
    stack = Stack(
        "servers", var=var_folder() / "fuzz", settings=SETTINGS, environ=without_servers(os.environ)
    )
    try:
        stack.delete_data()
        stack.start()
        fill(stack)
        tokens = {service: gather_tokens(stack, service) for service in services}
        runs = [(service, seed) for seed in seeds for service in services]
        with ThreadPoolExecutor(SIDE_BY_SIDE) as pool:
            results = list(
                pool.map(lambda run: report(fuzz(stack, tokens[run[0]], *run, cases), console), runs)
            )
    finally:
        stack.stop()
        stack.delete_data()
    total, broken = sum(each.cases for each in results), sum(each.faults for each in results)
    print(f"fuzz: {total} cases, seeds {', '.join(map(str, seeds))}, {broken} faults", flush=True)
    return 1 if broken else 0


def parse(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="./manage.py fuzz", description=__doc__)
    parser.add_argument("--cases", type=parse_count, help=f"requests to each service with each seed ({CASES})")
    parser.add_argument("--seed", type=int, action="append", help=f"default: {SEEDS[0]}, {SEEDS[1]} and a fresh one")
    parser.add_argument("--service", choices=[*SERVICES], action="append", help="default: all four")
    parser.add_argument("--quick", action="store_true", help=f"{QUICK_CASES} requests, and no fresh seed")
    return parser.parse_args(argv)


def fill(stack: Stack) -> None:
    """Give every list some rows: products, orders of both flows, a refund, a customer."""
    shopper = Shopper(stack)
    shopper.stock_shelves(GOODS, 1_000_000)
    order: dict[str, Any] = {
        "lines": [{"sku": "TEA", "quantity": 2}], "currency": "EUR", "payment_token": "tok_approved", "address": ADDRESS,
    }  # fmt: skip
    flows = ("orchestrated", "choreographed")
    orders = [shopper.place_when_known({**order, "flow": flows[n % 2]}) for n in range(ORDERS)]
    shopper.wait_for_ends(orders, patience=60)
    for path, body in (
        (f"/api/orders/{orders[0]}/refunds/", {"amount": 100, "reason": "a dent"}),
        ("/api/customers/", {"name": "Ada", "email": "ada@example.org"}),
    ):
        shopper.http.post(path, json=body).raise_for_status()


def fuzz(stack: Stack, tokens: dict[str, str], service: str, seed: int, cases: int) -> Fuzzed:
    """Run schemathesis against one service's web process."""
    url = stack.url(service)
    document = httpx.get(f"{url}/api/schema/?format=json", trust_env=False, timeout=60).json()
    operations = sum(method in ("get", "post", "put", "patch", "delete") for p in document["paths"].values() for method in p)
    folder = stack.var / "reports" / f"{service}-{seed}"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    (folder / "openapi.json").write_text(json.dumps(document))
    argv = [
        str(Path(sys.executable).with_name("schemathesis")), "--config-file", str(CONFIG), "run",
        str(folder / "openapi.json"), "--url", url, "--seed", str(seed),
        "--max-examples", str(max(1, cases // operations)),
        "--report-json-path", str(folder / "report.json"), "--report-ndjson-path", str(folder / "events.ndjson"),
        "--no-color",
    ]  # fmt: skip
    environ = {**os.environ, "PYTHONPATH": str(ROOT), "FUZZ_URL": url, TOKENS: json.dumps(tokens)}
    began = time.monotonic()
    done = subprocess.run(argv, cwd=folder, env=environ, capture_output=True, text=True, check=False)
    (folder / "output.txt").write_text(done.stdout + done.stderr)
    return Fuzzed(
        service, seed, 0, done.returncode, time.monotonic() - began, done.stdout + done.stderr
    )


def report(result: Fuzzed, console: Console) -> Fuzzed:
    console.print(
        f"{result.service} with seed {result.seed}: {result.cases} cases in {result.seconds:.0f} s, {result.faults} faults"
    )
    if result.faults:
        console.print(result.output, markup=False)
    return result
