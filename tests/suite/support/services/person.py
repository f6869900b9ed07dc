"""What a person does in a browser at one of the services: logs in, and allows or denies. Arguments: the page; `allow` or
`deny`; the code that a device shows, if there is one."""

import html
import json
import re
import sys
import urllib.parse
import urllib.request
from http.cookiejar import CookieJar

PERSON = {"username": "ada", "password": "hunter22"}
page, decision, *code = sys.argv[1:]
browser = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(CookieJar()))


def opened(request):
    try:
        with browser.open(request) as response:
            return response.url, response.read().decode()
    except urllib.error.HTTPError as error:
        # The page of a login that failed.
        return error.url, error.read().decode()


def at_django(url, text):
    """Fills in the forms of Django and django-oauth-toolkit."""
    while "<form" in text:
        fields = {
            html.unescape(name): html.unescape(value)
            for name, value in re.findall(r'<input[^>]*name="([^"]*)"[^>]*value="([^"]*)"', text)
        }
        if 'name="password"' in text:
            fields.update(PERSON)
        elif 'name="action"' in text:
            fields["action"] = "accept" if decision == "allow" else "deny"
        elif 'name="user_code"' in text:
            fields["user_code"] = code[0]
        elif decision == "deny":
            del fields["allow"]
        url, text = opened(urllib.request.Request(url, urllib.parse.urlencode(fields).encode()))


def at_glewlwyd(url):
    """Sends the requests of the pages of Glewlwyd, which are scripts. They have no button to deny."""

    def call(method, path, body):
        headers = {"Content-Type": "application/json"}
        target = urllib.parse.urljoin(url, path)
        opened(urllib.request.Request(target, json.dumps(body).encode(), headers, method=method))

    query = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(url).query))
    call("POST", "/api/auth/", PERSON)
    call("PUT", "/api/auth/grant/helper", {"scope": "openid read"})
    extra = {"g_continue": "", **({"code": code[0]} if code else {})}
    back = query["callback_url"]
    opened(back + ("&" if "?" in back else "?") + urllib.parse.urlencode(extra))


def at_forge(url, text):
    """Fills in the forms of Gitea and Forgejo: the login, and the page that asks once for each application."""
    for part, answers in [("/user/login", {**PERSON, "user_name": "ada"}), ("/login/oauth/grant", {"granted": str(decision == "allow").lower()})]:
        for target, form in re.findall(r'<form[^>]*action="([^"]*)"[^>]*>(.*?)</form>', text, re.DOTALL):
            if target.endswith(part):
                inputs = re.findall(r'<input[^>]*name="([^"]*)"[^>]*value="([^"]*)"', form)
                fields = {name: html.unescape(value) for name, value in inputs} | answers
                data = urllib.parse.urlencode(fields).encode()
                url, text = opened(urllib.request.Request(urllib.parse.urljoin(url, target), data))


url, text = opened(page)
if "/user/login" in url:
    at_forge(url, text)
elif "/login.html?" in url:
    at_glewlwyd(url)
else:
    at_django(url, text)
