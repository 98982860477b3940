"""Flower's settings. For Flower this file wins over its FLOWER_ variables; here the variables win."""

import os

from compose.local import flower_sign_on

_login = f"{os.environ.get('FLOWER_USER') or 'admin'}:{os.environ.get('FLOWER_PASSWORD', '')}"
_sign_on = flower_sign_on.read_options()
_logins = os.environ["FLOWER_BASIC_AUTH"].split(",") if os.environ.get("FLOWER_BASIC_AUTH") else [_login]
# Flower has a password or a sign-on.
basic_auth = [] if _sign_on else _logins
if _sign_on:
    auth, auth_provider = _sign_on["auth"], _sign_on["auth_provider"]
    oauth2_key, oauth2_secret = _sign_on["oauth2_key"], _sign_on["oauth2_secret"]
    oauth2_redirect_uri = _sign_on["oauth2_redirect_uri"]

read_only = True
# Workers send their events without being asked.
enable_events = False

# About 2 kB a task; an order leaves some 15.
max_tasks = int(os.environ.get("FLOWER_MAX_TASKS") or 50_000)
max_workers = int(os.environ.get("FLOWER_MAX_WORKERS") or 200)
# A worker's name contains its host's name, which is new with every container: remove old ones after an hour.
purge_offline_workers = int(os.environ.get("FLOWER_PURGE_OFFLINE_WORKERS") or 3600)

# kwargs begin with saga and step. Only the uuid is a link to a task's page.
tasks_columns = os.environ.get("FLOWER_TASKS_COLUMNS") or "name,uuid,kwargs,state,received,runtime,worker"
