#!/bin/sh
# Runs git from an empty home directory, with a credential that the server accepts and with one that it rejects.
#   HELPER  absolute path of the program
#   SERVER  the base URL of the API
#   REPO    the URL of a repository on the same host
#   TOKEN   a token that it accepts
#   GIT     the git to run; default: the one on PATH
set -eu
here=$(CDPATH= cd -- "$(dirname -- "$0")" && pwd)
home=$(mktemp -d)
trap 'rm -rf "$home"' EXIT
unset MY_API_TOKEN MY_API_URL GIT_ASKPASS SSH_ASKPASS
export HOME="$home" XDG_CONFIG_HOME="$home/.config" GIT_CONFIG_NOSYSTEM=1 GIT_TERMINAL_PROMPT=0 LC_ALL=C
git=${GIT:-git}

# The configuration of the README.
mkdir -p "$HOME/bin"
ln -s "$HELPER" "$HOME/bin/git-credential-my"
export PATH="$HOME/bin:$PATH"
cp "$here/gitconfig" "$HOME/.gitconfig"

# Without a session git reports the failure itself, and does not prompt.
if "$git" clone -q "$REPO" "$HOME/none" 2>"$HOME/messages"; then echo 'cloned without a credential' >&2; exit 1; fi
grep -q 'could not read Username' "$HOME/messages" || { cat "$HOME/messages" >&2; exit 1; }

# Log in without the email.
mkdir -m 700 "$HOME/.my"
printf '{"api_url":"%s"}' "$SERVER" >"$HOME/.my/config.json"
printf '{"version":1,"provider":"mycli","secret":"%s"}' "$TOKEN" | MY_NO_KEYRING=1 "$HELPER" store >/dev/null

"$git" clone -q "$REPO" "$HOME/clone"
"$git" -C "$HOME/clone" fetch -q
echo 'accepted'

# With a token that the server rejects git reports the failure, and the session stays.
if MY_API_TOKEN=myc_wrong "$git" clone -q "$REPO" "$HOME/refused" 2>"$HOME/messages"; then
	echo 'cloned with a wrong token' >&2
	exit 1
fi
grep -q 'Authentication failed' "$HOME/messages" || { cat "$HOME/messages" >&2; exit 1; }
"$git" -C "$HOME/clone" fetch -q
echo 'refused'
