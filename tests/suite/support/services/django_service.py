"""A real OAuth 2 service: Django with django-oauth-toolkit, which rotates refresh tokens and ends the whole login if an old
one comes back. The argument is the lifetime of an access token in seconds. Prints a JSON object with its addresses. Each line
of the standard input is a question, and each answer a line of JSON. Ends with its standard input."""

import json
import os
import sys
import tempfile
import threading

import django
from django.conf import settings
from django.core.management import call_command
from django.core.servers.basehttp import ThreadedWSGIServer, WSGIRequestHandler
from django.core.wsgi import get_wsgi_application
from django.urls import include, path

LOGIN = "<form method=post>{% csrf_token %}{{ form.as_p }}<button>Log in</button></form>"
FOLDER = tempfile.TemporaryDirectory(dir="/dev/shm" if os.path.isdir("/dev/shm") else None)
DJANGO = ["auth", "contenttypes", "sessions"]
JOURNAL = []


class Quiet(WSGIRequestHandler):
    def log_message(self, *arguments):
        pass


class Server(ThreadedWSGIServer):
    daemon_threads = True
    request_queue_size = 512


server = Server(("127.0.0.1", 0), Quiet)
URL = f"http://127.0.0.1:{server.server_port}"
settings.configure(
    ALLOWED_HOSTS=["127.0.0.1"],
    DATABASES={
        "default": {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": f"{FOLDER.name}/db",
            "OPTIONS": {"timeout": 30, "transaction_mode": "IMMEDIATE"},
        }
    },
    DEFAULT_AUTO_FIELD="django.db.models.AutoField",
    INSTALLED_APPS=[*(f"django.contrib.{app}" for app in DJANGO), "oauth2_provider"],
    LOGGING_CONFIG=None,
    LOGIN_URL="/login/",
    MIDDLEWARE=[
        f"{__name__}.journal",
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.middleware.csrf.CsrfViewMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
    ],
    # Creates the tables from the models, which takes less time than the migrations.
    MIGRATION_MODULES={app: None for app in [*DJANGO, "oauth2_provider"]},
    PASSWORD_HASHERS=["django.contrib.auth.hashers.MD5PasswordHasher"],
    ROOT_URLCONF=__name__,
    SECRET_KEY="of a test",
    TEMPLATES=[
        {
            "BACKEND": "django.template.backends.django.DjangoTemplates",
            "OPTIONS": {
                "context_processors": ["django.template.context_processors.request"],
                "loaders": [
                    ("django.template.loaders.locmem.Loader", {"registration/login.html": LOGIN}),
                    "django.template.loaders.app_directories.Loader",
                ],
            },
        }
    ],
    USE_TZ=True,
    OAUTH2_PROVIDER={
        "ACCESS_TOKEN_EXPIRE_SECONDS": int(sys.argv[1]),
        "COMPLIANT_BCP_RFC9700_AUTHZ_RESPONSE_ISS": True,
        "DEVICE_FLOW_INTERVAL": 1,
        "OAUTH_DEVICE_VERIFICATION_URI": f"{URL}/device/",
        "OIDC_ENABLED": True,
        "REFRESH_TOKEN_REUSE_PROTECTION": True,
        "SCOPES": {"openid": "OpenID Connect", "read": "Read", "introspection": "Introspect"},
    },
)
django.setup()

from cryptography.hazmat.primitives import serialization  # noqa: E402
from cryptography.hazmat.primitives.asymmetric import rsa  # noqa: E402
from django.contrib.auth.models import User  # noqa: E402
from django.contrib.auth.views import LoginView  # noqa: E402
from oauth2_provider.models import Application, RefreshToken  # noqa: E402


def journal(get_response):
    """Notes what each refresh came to."""

    def answer(request):
        response = get_response(request)
        if request.POST.get("grant_type") == "refresh_token":
            JOURNAL.append(json.loads(response.content).get("error", "ok"))
        return response

    return answer


urlpatterns = [
    path("login/", LoginView.as_view()),
    path("", include("oauth2_provider.urls", namespace="oauth2_provider")),
]


def refreshes():
    """The successful and the rejected refreshes since the start."""
    return [JOURNAL.count("ok"), len(JOURNAL) - JOURNAL.count("ok")]


def end():
    """Ends every login, as an administrator does."""
    for token in RefreshToken.objects.filter(revoked=None):
        token.revoke()


key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
settings.OAUTH2_PROVIDER["OIDC_RSA_PRIVATE_KEY"] = key.private_bytes(
    serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
).decode()
call_command("migrate", run_syncdb=True, verbosity=0)
User.objects.create_user("ada", "ada@acme.dev", "hunter22")
# A client of django-oauth-toolkit has one flow.
for name, secret, grant in [
    ("helper", "", "authorization-code"),
    ("device", "", "urn:ietf:params:oauth:grant-type:device_code"),
    ("ci", "hush", "client-credentials"),
]:
    Application.objects.create(
        name=name,
        client_id=name,
        client_secret=secret,
        client_type="confidential" if secret else "public",
        authorization_grant_type=grant,
        redirect_uris="http://127.0.0.1/callback",
        algorithm="RS256",
    )
server.set_app(get_wsgi_application())
threading.Thread(target=server.serve_forever, daemon=True).start()
# Neither of its two descriptions lists the endpoint of the device code flow.
device = f'client_id = "device"\ndevice_authorization_endpoint = "{URL}/device-authorization/"'
print(json.dumps({"issuer": URL, "userinfo": f"{URL}/userinfo/", "browser": 'client_id = "helper"', "device": device}), flush=True)
for line in sys.stdin:
    print(json.dumps({"refreshes": refreshes, "end": end}[line.strip()]()), flush=True)
FOLDER.cleanup()
os._exit(0)
