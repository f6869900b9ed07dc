#!/bin/sh
# Runs kubectl from an empty home directory, with a token that the API server accepts and with one that it rejects.
#   HELPER     absolute path of the program
#   SERVER     host:port of an API server with TLS
#   AUTHORITY  file of the trusted certificate
#   TOKEN      a token that it accepts
set -eu
here=$(CDPATH= cd -- "$(dirname -- "$0")" && pwd)
home=$(mktemp -d)
trap 'rm -rf "$home"' EXIT
unset MY_API_TOKEN MY_API_URL KUBECONFIG
export HOME="$home" XDG_CONFIG_HOME="$home/.config" MY_NO_KEYRING=1

# The configuration of the README.
mkdir -p "$HOME/bin" "$HOME/.kube" "$XDG_CONFIG_HOME/my-credential-helper"
ln -s "$HELPER" "$HOME/bin/my-credential-helper"
export PATH="$HOME/bin:$PATH"
sed "s,k8s\.mycli\.sh:6443,$SERVER\n      certificate-authority: $AUTHORITY," "$here/kubeconfig" >"$HOME/.kube/config"
printf '[providers.mycli]\nhosts = ["%s"]\n' "$SERVER" >"$XDG_CONFIG_HOME/my-credential-helper/config.toml"

version() { kubectl get --raw /version; }
must_fail() {
	if version >"$HOME/messages" 2>&1; then
		echo 'accepted without a credential' >&2
		exit 1
	fi
	grep -q "$1" "$HOME/messages" && return
	cat "$HOME/messages" >&2
	exit 1
}

must_fail 'not logged in to mycli'

# Log in without the email.
printf '{"version":1,"provider":"mycli","secret":"%s"}' "$TOKEN" | "$HELPER" store >/dev/null
version >/dev/null
echo 'accepted'

export MY_API_TOKEN=myc_wrong
must_fail 'Unauthorized\|must be logged in\|provide credentials'
unset MY_API_TOKEN
version >/dev/null
echo 'refused'
