#!/bin/sh
# The real go, from an empty home to a credential that the module proxy accepted, and to one that it refused.
#   HELPER     the program, an absolute path
#   SERVER     host:port of a module proxy with TLS
#   AUTHORITY  the file of the certificate that it is trusted by
#   MODULE     a module there: path@version
#   TOKEN      a token that is accepted there
set -eu
here=$(CDPATH= cd -- "$(dirname -- "$0")" && pwd)
home=$(mktemp -d)
trap 'rm -rf "$home"' EXIT
unset MY_API_TOKEN MY_API_URL GOAUTH GOPRIVATE GOENV GOPATH GOMODCACHE GOCACHE
export HOME="$home" XDG_CONFIG_HOME="$home/.config" MY_NO_KEYRING=1
export GOTOOLCHAIN=local GOSUMDB=off GOFLAGS='-mod=mod -modcacherw' GOPROXY="https://$SERVER" GONOPROXY=none
export SSL_CERT_FILE="$AUTHORITY" SSL_CERT_DIR=/nonexistent

# What the README says.
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

# The login, without the walk through the mail.
printf '{"version":1,"provider":"mycli","secret":"%s"}' "$TOKEN" | "$HELPER" store >/dev/null
fetch >"$HOME/messages" 2>&1 || { cat "$HOME/messages" >&2; exit 1; }
echo 'accepted'

export MY_API_TOKEN=myc_wrong
must_fail
unset MY_API_TOKEN
fetch >/dev/null 2>&1
echo 'refused'
