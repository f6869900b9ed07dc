#!/bin/sh
# Runs pnpm from an empty home directory, with a credential that the registry accepts and with one that it rejects.
#   HELPER    absolute path of the program
#   REGISTRY  host:port of a registry on this machine with a package @my/hello
#   TOKEN     the token that it accepts as `Authorization: Bearer …`
#   PNPM      the pnpm to run; default: the one on PATH
set -eu
here=$(CDPATH= cd -- "$(dirname -- "$0")" && pwd)
home=$(mktemp -d)
trap 'rm -rf "$home"' EXIT
unset MY_API_TOKEN MY_API_URL
export HOME="$home" XDG_CONFIG_HOME="$home/.config" MY_NO_KEYRING=1 CI=1
pnpm=${PNPM:-pnpm}

# The configuration of the README.
mkdir -p "$HOME/bin" "$HOME/project"
ln -s "$HELPER" "$HOME/bin/my-token-helper"
sed -e "s,https://npm\.mycli\.sh,http://$REGISTRY," -e "s,//npm\.mycli\.sh,//$REGISTRY," \
	-e "s,/usr/local/bin,$HOME/bin," "$here/npmrc" >"$HOME/.npmrc"
cd "$HOME/project"
printf '{"name":"project","version":"1.0.0"}' >package.json

must_fail() {
	if "$@" >"$HOME/messages" 2>&1; then
		echo "accepted without a credential: $*" >&2
		exit 1
	fi
	grep -qi 'token helper\|tokenHelper\|401\|unauthori\|failed to fetch' "$HOME/messages" && return
	cat "$HOME/messages" >&2
	exit 1
}

must_fail "$pnpm" add @my/hello

# Log in without the email.
printf '{"version":1,"provider":"mycli","secret":"%s"}' "$TOKEN" | "$HELPER" store >/dev/null
"$pnpm" add @my/hello >/dev/null
[ -e node_modules/@my/hello/package.json ]
echo 'accepted'

export MY_API_TOKEN=myc_wrong
rm -rf node_modules pnpm-lock.yaml
must_fail "$pnpm" install --force --store-dir "$HOME/other-store"
unset MY_API_TOKEN
"$pnpm" install --store-dir "$HOME/other-store" >/dev/null
echo 'refused'
