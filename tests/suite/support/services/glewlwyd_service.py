"""A real OAuth 2 service: Debian's glewlwyd, with refresh tokens that are valid once, and end the login if they come back.
Started and asked like `django_service.py`, with two more arguments: its port, and that of the redirect URI."""

import json
import os
import sqlite3
import subprocess
import sys
import tempfile
import time
import urllib.request
from http.cookiejar import CookieJar

SQL = "/usr/share/dbconfig-common/data/glewlwyd/install/sqlite3"
FOLDER = tempfile.TemporaryDirectory(dir="/dev/shm" if os.path.isdir("/dev/shm") else None)
LIBRARIES = "/usr/lib/glewlwyd"


lifetime, port, redirect_port = sys.argv[1:]
# Compared with the whole redirect URI: any other port is rejected.
callback = f"http://127.0.0.1:{redirect_port}/callback"
# The slash at the end is that of Debian's configuration: the endpoints then have two.
URL = f"http://127.0.0.1:{port}/"
MIME = "".join(
    f'{{ extension = "{extension}" mime_type = "{kind}" }},'
    for extension, kind in [(".html", "text/html"), (".css", "text/css"), (".js", "text/javascript"), (".json", "application/json")]
)
with open(f"{FOLDER.name}/conf", "w") as file:
    file.write(
        f"""
port = {port}
bind_address = "127.0.0.1"
external_url = "{URL}"
login_url = "login.html"
api_prefix = "api"
static_files_path = "/usr/share/glewlwyd/webapp/"
static_files_mime_types = ( {MIME[:-1]} )
log_mode = "file"
log_level = "INFO"
log_file = "{FOLDER.name}/log"
cookie_secure = 0
admin_scope = "g_admin"
profile_scope = "g_profile"
user_module_path = "{LIBRARIES}/user"
client_module_path = "{LIBRARIES}/client"
user_auth_scheme_module_path = "{LIBRARIES}/scheme"
plugin_module_path = "{LIBRARIES}/plugin"
hash_algorithm = "SHA512"
database = {{ type = "sqlite3" path = "{FOLDER.name}/db" }};
"""
    )
database = sqlite3.connect(f"{FOLDER.name}/db", timeout=30)
with open(SQL) as file:
    database.executescript(file.read())
server = subprocess.Popen(
    ["glewlwyd", f"--config-file={FOLDER.name}/conf"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
)
administrator = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(CookieJar()))


def call(path, body, method="POST"):
    headers = {"Content-Type": "application/json"}
    administrator.open(urllib.request.Request(f"{URL}api/{path}", json.dumps(body).encode(), headers, method=method))


def events():
    with open(f"{FOLDER.name}/log") as log:
        return log.read()


def refreshes():
    """The successful and the rejected refreshes since the start. A login issues an ID token, a refresh none."""
    text = events()
    issued, logins = text.count("Refresh token generated for"), text.count("id_token generated for")
    return [issued - logins, text.count("Security - Token invalid")]


def end():
    """Ends every login, as an administrator does."""
    database.execute("UPDATE gpo_refresh_token SET gpor_enabled = 0")
    database.commit()


def client(name, **more):
    call("client/", {"client_id": name, "name": name, "enabled": True, "redirect_uri": [callback], **more})


try:
    for _ in range(200):
        try:
            call("auth/", {"username": "admin", "password": "password"})
            break
        except OSError:
            time.sleep(0.05)
    enabled = [
        "allow-non-oidc", "auth-type-client-enabled", "auth-type-code-enabled", "auth-type-code-revoke-replayed",
        "auth-type-device-enabled", "auth-type-refresh-enabled", "introspection-revocation-allow-target-client",
        "introspection-revocation-allowed", "oauth-as-iss-id", "pkce-allowed", "pkce-required", "refresh-token-rolling",
    ]  # fmt: skip
    issuer = f"{URL}api/oidc"
    parameters = {
        "access-token-duration": int(lifetime), "code-duration": 600, "device-authorization-expiration": 600,
        "device-authorization-interval": 1, "iss": issuer, "jwt-key-size": "256", "jwt-type": "sha", "key": "of a test",
        "refresh-token-duration": 1209600, "refresh-token-one-use": "always", "subject-type": "public",
        **{name: True for name in enabled},
    }  # fmt: skip
    call("mod/plugin/", {"module": "oidc", "name": "oidc", "display_name": "oidc", "parameters": parameters})
    scope = {"password_max_age": 0, "password_required": True, "scheme": {}}
    call("scope/", {"name": "read", "display_name": "read", **scope})
    user = {"username": "ada", "name": "Ada", "email": "ada@acme.dev", "password": "hunter22", "enabled": True}
    call("user/", {**user, "scope": ["openid", "read", "g_profile"]})
    flows = ["code", "refresh_token", "device_authorization"]
    client("helper", confidential=False, scope=[], authorization_type=flows, token_endpoint_auth_method=["none"])
    methods = ["client_secret_basic", "client_secret_post"]
    secret = {"confidential": True, "password": "hush", "token_endpoint_auth_method": methods}
    client("ci", scope=["read"], authorization_type=["client_credentials"], **secret)
    # Only a client with a secret can revoke a token.
    client("desk", scope=["read"], authorization_type=["client_credentials", *flows], **secret)
    registered = f'client_id = "helper"\nredirect_port = {redirect_port}'
    print(json.dumps({"issuer": issuer, "userinfo": f"{issuer}/userinfo", "browser": registered, "device": registered}), flush=True)
    for line in sys.stdin:
        print(json.dumps({"refreshes": refreshes, "end": end}[line.strip()]()), flush=True)
finally:
    server.kill()
    server.wait()
    FOLDER.cleanup()
