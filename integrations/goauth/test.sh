#!/bin/sh
# Runs go from an empty home directory, with a credential that the module proxy accepts and with one that it rejects.
#   HELPER     absolute path of the program
#   SERVER     host:port of a module proxy with TLS
#   AUTHORITY  file of the trusted certificate
#   MODULE     a module there: path@version
#   TOKEN      a token that it accepts
set -eu
here=$(CDPATH= cd -- "$(dirname -- "$0")" && pwd)
home=$(mktemp -d)
trap 'rm -rf "$home"' EXIT
unset MY_API_TOKEN MY_API_URL GOAUTH GOPRIVATE GOENV GOPATH GOMODCACHE GOCACHE
export HOME="$home" XDG_CONFIG_HOME="$home/.config" MY_NO_KEYRING=1
export GOTOOLCHAIN=local GOSUMDB=off GOFLAGS='-mod=mod -modcacherw' GOPROXY="https://$SERVER" GONOPROXY=none
export SSL_CERT_FILE="$AUTHORITY" SSL_CERT_DIR=/nonexistent

# The configuration of the README.
mkdir -p "$HOME/bin" "$HOME/project" "$XDG_CONFIG_HOME/my-credential-helper" "$XDG_CONFIG_HOME/go"
ln -s "$HELPER" "$HOME/bin/my-credential-helper"
export PATH="$HOME/bin:$PATH"
cp "$here/env" "$XDG_CONFIG_HOME/go/env"
printf '[providers.mycli]\nhosts = ["%s"]\n' "$SERVER" >"$XDG_CONFIG_HOME/my-credential-helper/config.toml"
printf 'module example.com/project\n' >"$HOME/project/go.mod"
cd "$HOME/project"

fetch() {
	rm -rf "$HOME/go"
	go mod download -json "$MODULE"
}
must_fail() {
	if fetch >"$HOME/messages" 2>&1; then
		echo 'accepted without a credential' >&2
		exit 1
	fi
	grep -q ' 401 ' "$HOME/messages" && return
	cat "$HOME/messages" >&2
	exit 1
}

must_fail

# Log in without the email.
printf '{"version":1,"provider":"mycli","secret":"%s"}' "$TOKEN" | "$HELPER" store >/dev/null
fetch >"$HOME/messages" 2>&1 || { cat "$HOME/messages" >&2; exit 1; }
echo 'accepted'

export MY_API_TOKEN=myc_wrong
must_fail
unset MY_API_TOKEN
fetch >/dev/null 2>&1
echo 'refused'
