"""A real forge, with refresh tokens that are valid once: the Gitea or Forgejo that `MY_TEST_FORGE` names. Its templates are in
it, or beside it. Started and asked like `django_service.py`, with one more argument: its port."""

import base64
import json
import os
import sqlite3
import subprocess
import sys
import tempfile
import time
import urllib.request

FOLDER = tempfile.TemporaryDirectory()
PROGRAM = os.path.abspath(os.environ["MY_TEST_FORGE"])

lifetime, port = sys.argv[1:3]
URL = f"http://127.0.0.1:{port}"
CONFIGURATION = f"{FOLDER.name}/app.ini"
DATABASE = f"{FOLDER.name}/db"
beside = os.path.dirname(PROGRAM)
templates = f"STATIC_ROOT_PATH = {beside}" if os.path.isdir(f"{beside}/templates") else ""
with open(CONFIGURATION, "w") as file:
    file.write(
        f"""
I_AM_BEING_UNSAFE_RUNNING_AS_ROOT = true
WORK_PATH = {FOLDER.name}
[server]
HTTP_ADDR = 127.0.0.1
HTTP_PORT = {port}
ROOT_URL = {URL}/
OFFLINE_MODE = true
DISABLE_SSH = true
LFS_START_SERVER = true
{templates}
[database]
DB_TYPE = sqlite3
PATH = {DATABASE}
SQLITE_JOURNAL_MODE = WAL
[security]
INSTALL_LOCK = true
[oauth2]
ACCESS_TOKEN_EXPIRATION_TIME = {lifetime}
INVALIDATE_REFRESH_TOKENS = true
[service]
REQUIRE_SIGNIN_VIEW = true
[indexer]
ISSUE_INDEXER_TYPE = db
[log]
ROOT_PATH = {FOLDER.name}
MODE = file
logger.access.MODE = access
[log.access]
MODE = file
FILE_NAME = access.log
"""
    )
names = ["GITEA_WORK_DIR", "FORGEJO_WORK_DIR", "HOME"]
environment = {**os.environ, **{name: FOLDER.name for name in names}}
quiet = {"env": environment, "stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}


def run(*arguments):
    subprocess.run([PROGRAM, "-c", CONFIGURATION, *arguments], check=True, **quiet)


def call(path, body):
    person = base64.b64encode(b"ada:hunter22").decode()
    headers = {"Content-Type": "application/json", "Authorization": f"Basic {person}"}
    request = urllib.request.Request(f"{URL}/api/v1/user/{path}", json.dumps(body).encode(), headers)
    with urllib.request.urlopen(request) as response:
        return json.load(response)


def logged():
    """The log of the requests so far: it is written later, in their order."""
    mark = f"/api/healthz?{time.monotonic_ns()}"
    with urllib.request.urlopen(URL + mark):
        pass
    while True:
        with open(f"{FOLDER.name}/access.log") as log:
            text = log.read()
        if mark in text:
            return text
        time.sleep(0.01)


def refreshes():
    """The successful and the rejected refreshes since the start. A login, too, requests tokens once, after the person has
    granted it."""
    lines = logged().splitlines()
    statuses = [line.split('" ')[1][:3] for line in lines if '"POST /login/oauth/access_token ' in line]
    issued, logins = statuses.count("200"), sum('"POST /login/oauth/grant ' in line for line in lines)
    return [issued - logins, len(statuses) - issued]


def end():
    """Ends every login, as the page of the authorized applications does."""
    with sqlite3.connect(DATABASE, timeout=30) as database:
        database.execute("DELETE FROM oauth2_grant")


run("migrate")
run("admin", "user", "create", "--username=ada", "--password=hunter22", "--email=ada@acme.dev", "--must-change-password=false")
server = subprocess.Popen([PROGRAM, "-c", CONFIGURATION, "web"], **quiet)
try:
    for _ in range(1200):
        try:
            with urllib.request.urlopen(f"{URL}/api/healthz"):
                break
        except OSError:
            time.sleep(0.1)
    application = {"name": "helper", "redirect_uris": ["http://127.0.0.1/callback"], "confidential_client": False}
    client = call("applications/oauth2", application)["client_id"]
    call("repos", {"name": "app", "private": True})
    facts = {
        "issuer": URL, "userinfo": f"{URL}/login/oauth/userinfo", "settings": 'kind = "gitea"', "client_id": client,
        "browser": f'client_id = "{client}"',
    }  # fmt: skip
    print(json.dumps(facts), flush=True)
    for line in sys.stdin:
        print(json.dumps({"refreshes": refreshes, "end": end}[line.strip()]()), flush=True)
finally:
    server.kill()
    server.wait()
    FOLDER.cleanup()
