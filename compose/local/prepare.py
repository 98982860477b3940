"""The preparation of a service's database: `python -m compose.local.prepare SERVICE` migrates it and makes the admin.

It runs two management commands in one process, because loading Django takes longer than either of them.
"""

import argparse
import os
import sys

import django
from django.core.management import call_command
from django.db import OperationalError

from celery_config.common.services import SERVICES


def main(argv: list[str]) -> int:
    """Apply the migrations of a service and make its administrator with the password ADMIN_PASSWORD.

    Returns:
        0, or 1 if the database knows the role or its password no more; standard error then says what to run.
    """
    parser = argparse.ArgumentParser(prog="python -m compose.local.prepare", description=__doc__)
    parser.add_argument("service", metavar="SERVICE", choices=[*SERVICES])
    os.environ["DJANGO_SETTINGS_MODULE"] = SERVICES[parser.parse_args(argv).service].settings_module
    django.setup()
    try:
        call_command("migrate", interactive=False, verbosity=0)
        call_command("ensure_admin")
    except OperationalError as error:
        if "authentication failed" not in str(error):
            raise
        print(
            f"{error}\nThe role or its password is new: run compose/postgres/services.sh first, "
            "as docs/how-to/operate.md says under `An update of containers`.",
            file=sys.stderr,
        )
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
