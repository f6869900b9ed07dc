#!/bin/sh
# The real git, from an empty home to a credential that the server accepted, and to one that it refused.
#   HELPER  the program, an absolute path
#   SERVER  the base URL of the API
#   REPO    the URL of a repository on the same host
#   TOKEN   a token that is accepted there
#   GIT     the git to run, if it is not the one on PATH
set -eu
here=$(CDPATH= cd -- "$(dirname -- "$0")" && pwd)
home=$(mktemp -d)
trap 'rm -rf "$home"' EXIT
unset MY_API_TOKEN MY_API_URL GIT_ASKPASS SSH_ASKPASS
export HOME="$home" XDG_CONFIG_HOME="$home/.config" GIT_CONFIG_NOSYSTEM=1 GIT_TERMINAL_PROMPT=0 LC_ALL=C
git=${GIT:-git}

# What the README says.
mkdir -p "$HOME/bin"
ln -s "$HELPER" "$HOME/bin/git-credential-my"
export PATH="$HOME/bin:$PATH"
cp "$here/gitconfig" "$HOME/.gitconfig"

# Nobody is logged in: git says so itself, and asks nobody.
if "$git" clone -q "$REPO" "$HOME/none" 2>"$HOME/messages"; then echo 'cloned without a credential' >&2; exit 1; fi
grep -q 'could not read Username' "$HOME/messages" || { cat "$HOME/messages" >&2; exit 1; }

# The login, without the walk through the mail.
mkdir -m 700 "$HOME/.my"
printf '{"api_url":"%s"}' "$SERVER" >"$HOME/.my/config.json"
printf '{"version":1,"provider":"mycli","secret":"%s"}' "$TOKEN" | MY_NO_KEYRING=1 "$HELPER" store >/dev/null

"$git" clone -q "$REPO" "$HOME/clone"
"$git" -C "$HOME/clone" fetch -q
echo 'accepted'

# A token that the server refuses: git says so, and the login is still there.
if MY_API_TOKEN=myc_wrong "$git" clone -q "$REPO" "$HOME/refused" 2>"$HOME/messages"; then
	echo 'cloned with a wrong token' >&2
	exit 1
fi
grep -q 'Authentication failed' "$HOME/messages" || { cat "$HOME/messages" >&2; exit 1; }
"$git" -C "$HOME/clone" fetch -q
echo 'refused'
