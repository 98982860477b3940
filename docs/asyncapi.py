"""`./manage.py asyncapi`: the events of all services as an AsyncAPI 3.0 document."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import yaml

from celery_config.asyncapi import Subscriptions, build_document
from celery_config.broker.topology import read_subscriptions
from celery_config.common.services import SUBSCRIPTIONS

PAGE = Path(__file__).resolve().parent / "reference" / "asyncapi.yaml"
HEAD = "# Written from the code: ./manage.py asyncapi --write\n"


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="./manage.py asyncapi", description=__doc__)
    parser.add_argument(
        "--write", action="store_true", help=f"into docs/reference/{PAGE.name}, not to the terminal"
    )
    if parser.parse_args(argv).write:
        PAGE.write_text(text(), encoding="utf-8")
    else:
        print(text(), end="")
    return 0


def text() -> str:
    return HEAD + yaml.dump(
        build_document(parts()), Dumper=Page, sort_keys=False, allow_unicode=True, width=110
    )


class Page(yaml.SafeDumper):
    """With paragraphs as they are, and nothing named that is written once."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


Page.add_representer(
    str,
    lambda page, said: page.represent_scalar(
        "tag:yaml.org,2002:str", said, style="|" if "\n" in said else None
    ),
)


def parts() -> Subscriptions:
    """What each service listens to, by its `subscriptions.py`."""
    return {service: read_subscriptions(name) for service, name in SUBSCRIPTIONS.items()}
