#!/usr/bin/env python3
"""Compares what helpers do with an expired session when many processes request a credential at once.

The service is npm's oidc-provider with rotation: a refresh token is valid once, and one that comes back ends the login.
Usage: benches/rotation.py [PROCESSES]. With the default of 64 it writes benches/results/rotation.md.
Needs node and oidc-provider (.ci/run installs both), and runs the helpers that are installed:
git-credential-oauth 0.17 or newer, with git, and oidc-agent. A missing helper is reported, and its row left out.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.parse
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PROCESSES = int(sys.argv[1]) if len(sys.argv) > 1 else 64
PAST = "2020-01-01T00:00:00Z"


class Service:
    """A fresh service, which ends with this program."""

    def __init__(self):
        places = os.environ.get("NODE_PATH", f"{ROOT}/target/ci/npm/node_modules")
        script = ROOT / "tests/suite/support/oidc-provider/server.mjs"
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
        environment = {**os.environ, "NODE_PATH": places}
        self.process = subprocess.Popen(["node", script], cwd="/", env=environment, text=True, **pipes)
        print(file=self.process.stdin, flush=True)
        for line in self.process.stdout:
            if line.startswith("http"):
                self.url = line.strip()
                return
        sys.exit("node or npm's oidc-provider is missing: .ci/run installs them")

    def test(self, what):
        with urllib.request.urlopen(f"{self.url}/test/{what}", timeout=60) as response:
            return json.load(response)

    def count(self, event):
        return sum(entry["event"] == event for entry in self.test("journal"))

    def is_active(self, token):
        # `git:host`
        headers = {"Authorization": "Basic Z2l0Omhvc3Q="}
        form = urllib.parse.urlencode({"token": token}).encode()
        request = urllib.request.Request(f"{self.url}/token/introspection", form, headers)
        with urllib.request.urlopen(request, timeout=60) as response:
            return json.load(response)["active"]


def run(arguments, environment, text=""):
    done = subprocess.run(
        arguments, env=environment, input=text, text=True, capture_output=True, timeout=300, check=False
    )
    if done.returncode != 0:
        sys.exit(f"{arguments}: {done.stdout}{done.stderr}")
    return done.stdout


def ours(service, home, environment):
    helper = Path(os.environ.get("HELPER", ROOT / "target/release/my-credential-helper"))
    if not helper.exists():
        return "cargo build --release"
    configuration = home / ".config/my-credential-helper/config.toml"
    configuration.parent.mkdir(parents=True)
    configuration.write_text(
        'provider = "acme"\n[providers.acme]\nkind = "oauth"\nclient_id = "helper"\nscopes = ["openid"]\n'
        f'issuer = "{service.url}"\nhosts = ["{service.url}"]\n'
    )
    session = home / ".my/sessions/acme/default.json"
    session.parent.mkdir(parents=True, mode=0o700)
    times = dict.fromkeys(["expires_at", "logged_in_at", "last_refreshed_at"], PAST)
    session.write_text(json.dumps({**service.test("seed"), **times}))
    session.chmod(0o600)
    environment["MY_NO_KEYRING"] = "1"
    version = run([helper, "--version"], environment).split()[1]
    return f"my-credential-helper {version}", [helper, "get", "--format", "raw"], "", lambda output: output


def git_credential_oauth(service, home, environment):
    program = shutil.which("git-credential-oauth")
    if not program:
        return "git-credential-oauth (Debian unstable has 0.17)"
    version = run([program, "version"], environment).split()[1]
    if (0, 17) > tuple(int(number) for number in re.findall(r"\d+", version)[:2]):
        return f"git-credential-oauth 0.17 or newer (this is {version})"
    socket = home / "cache"
    socket.mkdir(mode=0o700)
    settings = {
        "credential.helper": [f"cache --timeout 600 --socket {socket}/socket", "oauth"],
        f"credential.{service.url}.oauthClientId": ["helper"],
        f"credential.{service.url}.oauthScopes": ["openid"],
        f"credential.{service.url}.oauthAuthURL": ["/auth"],
        f"credential.{service.url}.oauthTokenURL": ["/token"],
        f"credential.{service.url}.oauthRedirectURL": ["http://127.0.0.1/callback"],
    }
    for name, values in settings.items():
        for value in values:
            run(["git", "config", "--global", "--add", name, value], environment)
    # Nobody logs in again.
    environment |= {"GIT_TERMINAL_PROMPT": "0", "BROWSER": "false", "GIT_ASKPASS": "false"}
    seed = service.test("seed")
    host = service.url.removeprefix("http://")
    target = f"protocol=http\nhost={host}\n"
    expired = f"username=oauth2\npassword={seed['access_token']}\npassword_expiry_utc={int(time.time()) + 2}\n"
    run(["git", "credential", "approve"], environment, f"{target}{expired}oauth_refresh_token={seed['refresh_token']}\n")
    time.sleep(3)
    # As git does: a credential that was used is stored.
    script = home / "request"
    script.write_text(
        '#!/bin/sh\nanswer=$(git credential fill) && printf "%s\\n\\n" "$answer" | git credential approve && echo "$answer"\n'
    )
    script.chmod(0o700)
    git = run(["git", "--version"], environment).split()[2]
    name = f"git-credential-oauth {version}, git-credential-cache {git}"
    password = lambda output: "".join(re.findall("^password=(.*)$", output, re.MULTILINE))
    environment["CACHE"] = f"{socket}/socket"
    return name, [script], f"{target}\n", password


def oidc_agent(service, home, environment):
    if not shutil.which("oidc-agent"):
        return "oidc-agent (Debian's oidc-agent-cli)"
    started = run(["oidc-agent", "--socket-path", f"{home}/agent"], environment)
    environment |= dict(re.findall(r"(OIDC\w+)=([^;]+);", started))
    # The token with which it starts expires first.
    service.test("lifetime?s=1")
    words = "oidc-gen acme --client-id=agent --client-secret=hush --scope=openid --prompt=none --pw-env=PW --no-save"
    environment["PW"] = "of a comparison"
    run([*words.split(), f"--issuer={service.url}", f"--rt={service.test('seed?client=agent')['refresh_token']}"], environment)
    service.test("lifetime?s=900")
    time.sleep(2)
    version = run(["oidc-agent", "--version"], environment).split()[1]
    return f"oidc-agent {version}", ["oidc-token", "acme"], "", lambda output: output


def start(command, environment, source, output):
    with source.open() as own, output.open("w") as target:
        streams = {"stdin": own, "stdout": target, "stderr": subprocess.DEVNULL}
        return subprocess.Popen(command, env=environment, start_new_session=True, **streams)


def wait(children, service):
    """Waits for the processes. One that waits for a person to log in ends after the service has had no request for 20 s."""
    requests, since = 0, time.monotonic()
    while any(child.poll() is None for child in children):
        time.sleep(0.5)
        if service.count("token request") != requests:
            requests, since = service.count("token request"), time.monotonic()
        if time.monotonic() - since > 20:
            for child in children:
                if child.poll() is None:
                    os.killpg(child.pid, 15)
                    child.wait()


def compare(set_up):
    """The row of a helper, or `None`."""
    with tempfile.TemporaryDirectory() as folder:
        service, home = Service(), Path(folder)
        environment = {"HOME": folder, "PATH": os.environ["PATH"], "TMPDIR": folder}
        try:
            return row(set_up(service, home, environment), service, home, environment)
        finally:
            if agent := environment.get("OIDCD_PID"):
                os.kill(int(agent), 15)
            if cache := environment.get("CACHE"):
                run(["git", "credential-cache", "--socket", cache, "exit"], environment)
            service.process.kill()


def row(prepared, service, home, environment):
    if isinstance(prepared, str):
        print(f"MISSING: {prepared}", file=sys.stderr)
        return None
    name, command, text, token_of = prepared
    service.test("clear")
    (home / "input").write_text(text)
    outputs = [home / f"output-{number}" for number in range(PROCESSES)]
    wait([start(command, environment, home / "input", output) for output in outputs], service)
    tokens = [token_of(output.read_text()).strip() for output in outputs]
    active = {token: service.is_active(token) for token in set(tokens) - {""}}
    requests, rejected = service.count("token request"), service.count("grant.error")
    served = sum(active.get(token, False) for token in tokens)
    login = "lost" if service.count("grant.revoked") else "valid"
    return f"| {name} | {requests} | {rejected} | {served} | {login} |"


def main():
    helpers = (ours, git_credential_oauth, oidc_agent)
    rows = [compare(set_up) for set_up in helpers]
    provider = ROOT / "target/ci/npm/node_modules/oidc-provider/package.json"
    version = json.loads(provider.read_text())["version"] if provider.exists() else ""
    page = [
        "# An expired session and many processes",
        "",
        f"{PROCESSES} processes request a credential at once after the access token has expired. The service is oidc-provider "
        f"{version}".rstrip() + " with rotation: each refresh token is valid once, and one that comes back ends the login. "
        "Written by `benches/rotation.py`.",
        "",
        "git-credential-oauth tries two forms of client authentication. After a rejection it waits for a login in the browser.",
        "",
        "| helper | requests | rejected requests | processes with a valid token at the end | login |",
        "|---|--:|--:|--:|---|",
        *filter(None, rows),
        "",
    ]
    print("\n".join(page))
    if PROCESSES == 64 and None not in rows:
        (ROOT / "benches/results/rotation.md").write_text("\n".join(page))


main()
