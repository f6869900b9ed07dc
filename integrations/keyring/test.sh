#!/bin/sh
# Runs pip and uv from an empty home directory, with a credential that the index accepts and with one that it rejects.
#   HELPER  absolute path of the program
#   INDEX   host:port of an index on this machine with its pages below /simple/ and a package hello
#   TOKEN   the password that it accepts for the user `token`
set -eu
here=$(CDPATH= cd -- "$(dirname -- "$0")" && pwd)
home=$(mktemp -d)
trap 'rm -rf "$home"' EXIT
unset MY_API_TOKEN MY_API_URL VIRTUAL_ENV
export HOME="$home" XDG_CONFIG_HOME="$home/.config" MY_NO_KEYRING=1
export PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_INPUT=1 PIP_NO_CACHE_DIR=1 UV_NO_CACHE=1 UV_PYTHON_DOWNLOADS=never

# The configuration of the README.
mkdir -p "$HOME/bin" "$XDG_CONFIG_HOME/pip" "$XDG_CONFIG_HOME/uv" "$XDG_CONFIG_HOME/my-credential-helper"
ln -s "$HELPER" "$HOME/bin/keyring"
export PATH="$HOME/bin:$PATH"
sed "s,https://pypi\.mycli\.sh,http://$INDEX," "$here/pip.conf" >"$XDG_CONFIG_HOME/pip/pip.conf"
sed "s,https://pypi\.mycli\.sh,http://$INDEX," "$here/uv.toml" >"$XDG_CONFIG_HOME/uv/uv.toml"
printf '[providers.mycli]\nhosts = ["%s"]\n' "$INDEX" >"$XDG_CONFIG_HOME/my-credential-helper/config.toml"

must_fail() {
	if "$@" >"$HOME/messages" 2>&1; then
		echo "accepted without a credential: $*" >&2
		exit 1
	fi
	grep -qi '401\|unauthorized\|missing credentials\|no matching distribution' "$HOME/messages" && return
	cat "$HOME/messages" >&2
	exit 1
}
pip_install() { pip install --quiet --target "$HOME/$1" hello; }
uv_install() { uv pip install --quiet --target "$HOME/$1" hello; }

must_fail pip_install none
must_fail uv_install none

# Log in without the email.
printf '{"version":1,"provider":"mycli","secret":"%s"}' "$TOKEN" | "$HELPER" store >/dev/null
pip_install pip
uv_install uv
[ -e "$HOME/pip/hello.py" ] && [ -e "$HOME/uv/hello.py" ]
echo 'accepted'

export MY_API_TOKEN=myc_wrong
must_fail pip_install refused
must_fail uv_install refused
unset MY_API_TOKEN
pip_install again
uv_install again_by_uv
echo 'refused'
