"""`python3 -m compose.pin_images`: writes into compose/.env the digest of each image that comes from a registry.

A tag can be moved to another image; a digest cannot. It asks the registry by `docker buildx imagetools inspect`.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
from pathlib import Path

from compose.new_env import FOLDER, without, write_new

IMAGE = re.compile(r"\$\{(\w+_IMAGE):-([^}]+)\}")
DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


class NoDigest(Exception):
    """The registry names no digest; the text says of which image, and why."""


def find_images() -> dict[str, str]:
    """The image of each variable, as compose/compose.yaml names it."""
    return dict(IMAGE.findall((FOLDER / "compose.yaml").read_text()))


def find_digest(image: str) -> str:
    """The digest to which the registry resolves the image's tag.

    Raises:
        NoDigest: docker is missing or failed, or printed something else.
    """
    command = ["docker", "buildx", "imagetools", "inspect", image, "--format", "{{.Manifest.Digest}}"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError as error:
        raise NoDigest(f"docker cannot be run: {error.strerror}") from error
    digest = done.stdout.strip()
    if done.returncode != 0 or not DIGEST.fullmatch(digest):
        raise NoDigest(f"{image} has no digest: {done.stderr.strip() or digest or 'docker printed nothing'}")
    return digest


def main(folder: Path = FOLDER) -> int:
    """Pin all images, or none.

    Returns:
        1 when a digest is not found, or compose/.env was not made yet.
    """
    env = folder / ".env"
    if not env.exists():
        print(f"There is no {env}: `python3 -m compose.new_env` makes it.", file=sys.stderr)
        return 1
    images = find_images()
    try:
        pinned = {name: f"{image}@{find_digest(image)}" for name, image in images.items()}
    except NoDigest as error:
        print(error, file=sys.stderr)
        return 1
    rest = without(env.read_text(), {*images})
    write_new(env, rest + "".join(f"{name}={image}\n" for name, image in pinned.items()), 0o600)
    for name, image in pinned.items():
        print(f"{name}={image}")
    return 0


if __name__ == "__main__":
    argparse.ArgumentParser(prog="python3 -m compose.pin_images", description=__doc__).parse_args()
    sys.exit(main())
