#!/bin/sh
# Runs docker, and skopeo if installed, from an empty home directory, with a credential that the registry accepts and with
# one that it rejects.
#   HELPER    absolute path of the program
#   REGISTRY  host:port of a registry on this machine
#   IMAGE     an image there, without the registry: name:tag
#   TOKEN     the password that it accepts for the user `token`
set -eu
here=$(CDPATH= cd -- "$(dirname -- "$0")" && pwd)
home=$(mktemp -d)
trap 'rm -rf "$home"' EXIT
unset MY_API_TOKEN MY_API_URL DOCKER_CONFIG REGISTRY_AUTH_FILE XDG_RUNTIME_DIR
export HOME="$home" XDG_CONFIG_HOME="$home/.config" MY_NO_KEYRING=1

# The configuration of the README.
mkdir -p "$HOME/bin" "$HOME/.docker" "$XDG_CONFIG_HOME/my-credential-helper"
ln -s "$HELPER" "$HOME/bin/docker-credential-my"
export PATH="$HOME/bin:$PATH"
sed "s/registry\.mycli\.sh/$REGISTRY/" "$here/config.json" >"$HOME/.docker/config.json"
printf '[providers.mycli]\nhosts = ["%s"]\n' "$REGISTRY" >"$XDG_CONFIG_HOME/my-credential-helper/config.toml"

inspect() { docker manifest inspect --insecure "$REGISTRY/$IMAGE"; }
# docker prints "no such manifest" if the registry rejects the credential.
must_fail() {
	if "$@" >"$HOME/messages" 2>&1; then
		echo "accepted without a credential: $*" >&2
		exit 1
	fi
	grep -qi 'unauthorized\|no basic auth credentials\|no such manifest' "$HOME/messages" && return
	cat "$HOME/messages" >&2
	exit 1
}

must_fail inspect

# Log in without the email.
printf '{"version":1,"provider":"mycli","secret":"%s"}' "$TOKEN" | "$HELPER" store >/dev/null
inspect >/dev/null
if command -v skopeo >/dev/null; then
	skopeo inspect --tls-verify=false "docker://$REGISTRY/$IMAGE" >/dev/null
fi
echo 'accepted'

export MY_API_TOKEN=myc_wrong
must_fail inspect
unset MY_API_TOKEN
inspect >/dev/null
echo 'refused'
