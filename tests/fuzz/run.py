"""`./manage.py fuzz`: requests of every kind to each service, and no answer that its OpenAPI document lacks."""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import httpx
from rich.console import Console

from celery_config.common.arguments import parse_count
from celery_config.common.services import SERVICES
from compose.local.environment import ROOT, var_folder, without_servers
from compose.local.shopper import Shopper
from compose.local.stack import Stack
from tests.fuzz.goods import GOODS, ORDER
from tests.fuzz.people import TOKENS, Tokens, gather_tokens

CASES, QUICK_CASES = 5000, 250
SEEDS = (20261128, 7)
# The phases of boundary values and of chains of calls are long, whatever the seed.
PHASES, QUICK_PHASES = "examples,coverage,fuzzing,stateful", "fuzzing"
CONFIG = ROOT / "tests" / "fuzz" / "schemathesis.toml"
# The verbs are for trying; logins stay throttled, because hashing passwords takes most of the time.
SETTINGS = {"VERB_RATE": "1000000/minute"}
SIDE_BY_SIDE = 2
METHODS = {"get", "post", "put", "patch", "delete"}
ORDERS_OF_EACH_FLOW = 6


@dataclass(frozen=True)
class Fuzzed:
    """The requests to one service with one seed, and the number of different faults."""

    service: str
    seed: int
    cases: int
    faults: int
    seconds: float
    output: str

    def __str__(self) -> str:
        return f"{self.service}, seed {self.seed}: {self.cases} cases, {self.faults} faults, {self.seconds:.0f} s"


def main(argv: list[str]) -> int:
    options = parse(argv)
    console = Console(highlight=False)
    cases = options.cases or (QUICK_CASES if options.quick else CASES)
    services = options.service or [*SERVICES]
    runs = [(service, seed) for seed in options.seed or choose_seeds(options.quick) for service in services]
    stack = Stack(
        "servers", var=var_folder() / "fuzz", settings=SETTINGS, environ=without_servers(os.environ)
    )
    try:
        stack.delete_data()
        stack.start()
        fill(stack)
        tokens = {service: gather_tokens(stack, service) for service in services}

        def run(service: str, seed: int) -> Fuzzed:
            result = fuzz(
                stack, tokens[service], service, seed, cases, QUICK_PHASES if options.quick else PHASES
            )
            console.print(str(result))
            if result.faults:
                console.print(result.output, markup=False)
            return result

        with ThreadPoolExecutor(SIDE_BY_SIDE) as pool:
            results = list(pool.map(lambda each: run(*each), runs))
    finally:
        stack.stop()
        stack.delete_data()
    return print_result(results)


def parse(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="./manage.py fuzz", description=__doc__)
    parser.add_argument("--cases", type=parse_count, help=f"requests to a service with each seed ({CASES})")
    parser.add_argument(
        "--seed", type=int, action="append", help=f"default: {SEEDS[0]}, {SEEDS[1]} and a fresh one"
    )
    parser.add_argument("--service", choices=[*SERVICES], action="append", help="default: all four")
    parser.add_argument(
        "--quick",
        action="store_true",
        help=f"about {QUICK_CASES} drawn requests, and the two fixed seeds alone",
    )
    return parser.parse_args(argv)


def choose_seeds(quick: bool) -> list[int]:
    return [*SEEDS] if quick else [*SEEDS, random.randrange(2**32)]


def print_result(results: list[Fuzzed]) -> int:
    """Print the last line; return the exit code."""
    total, broken = sum(each.cases for each in results), sum(each.faults for each in results)
    seeds = ", ".join(dict.fromkeys(str(each.seed) for each in results))
    print(f"fuzz: {total} cases, seeds {seeds}, {broken} faults", flush=True)
    return 1 if broken else 0


def fill(stack: Stack) -> None:
    """Give the lists some rows: products, orders of both flows, a refund, a customer."""
    shopper = Shopper(stack)
    shopper.stock_shelves(GOODS, 1_000_000)
    flows = ["orchestrated", "choreographed"] * ORDERS_OF_EACH_FLOW
    orders = [shopper.place_when_known({**ORDER, "flow": flow}) for flow in flows]
    shopper.wait_for_ends(orders, patience=60)
    for path, body in (
        (f"/api/orders/{orders[0]}/refunds/", {"amount": 100, "reason": "a dent"}),
        ("/api/customers/", {"name": "Ada", "email": "ada@example.org"}),
    ):
        shopper.http.post(path, json=body).raise_for_status()


def fuzz(stack: Stack, tokens: Tokens, service: str, seed: int, cases: int, phases: str) -> Fuzzed:
    """Let schemathesis send a service's web process about so many requests: as many for each operation."""
    url, folder = stack.url(service), stack.var / "reports" / f"{service}-{seed}"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    document = httpx.get(f"{url}/api/schema/?format=json", trust_env=False, timeout=60).raise_for_status()
    (folder / "openapi.json").write_text(document.text)
    operations = sum(len(METHODS & {*methods}) for methods in document.json()["paths"].values())
    argv = [
        str(Path(sys.executable).with_name("schemathesis")),
        *("--config-file", str(CONFIG), "run", "openapi.json", "--url", url, "--seed", str(seed)),
        *("--max-examples", str(-(-cases // operations)), "--report-json-path", "report.json", "--no-color"),
        *("--phases", phases),
    ]
    environ = {**os.environ, "PYTHONPATH": str(ROOT), "FUZZ_URL": url, TOKENS: json.dumps(tokens)}
    began = time.monotonic()
    done = subprocess.run(argv, cwd=folder, env=environ, capture_output=True, text=True, check=False)
    seconds, output = time.monotonic() - began, done.stdout + done.stderr
    (folder / "output.txt").write_text(output)
    if not (folder / "report.json").exists():
        raise RuntimeError(f"schemathesis did not run:\n{output}")
    counts = json.loads((folder / "report.json").read_text())["test_cases"]
    faults = counts["unique_failures"] + counts["errored"] or int(done.returncode != 0)
    return Fuzzed(service, seed, counts["generated"], faults, seconds, output)
