#!/bin/sh
# The real pnpm from an empty home to a credential that the registry accepted, and to one that it refused.
#   HELPER    the program, an absolute path
#   REGISTRY  host:port of a registry on this machine that has a package @my/hello
#   TOKEN     what it takes as `Authorization: Bearer …`
#   PNPM      the pnpm to run, if it is not the one on PATH
set -eu
here=$(CDPATH= cd -- "$(dirname -- "$0")" && pwd)
home=$(mktemp -d)
trap 'rm -rf "$home"' EXIT
unset MY_API_TOKEN MY_API_URL
export HOME="$home" XDG_CONFIG_HOME="$home/.config" MY_NO_KEYRING=1 CI=1
pnpm=${PNPM:-pnpm}

# What the README says.
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

# The login, without the walk through the mail.
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
