#!/bin/sh
# Runs the helper as Bazel does, from an empty home directory, with a header that the server accepts and with one that it rejects.
#   HELPER  absolute path of the program
#   SERVER  the base URL of the API
#   TOKEN   a token that it accepts
set -eu
here=$(CDPATH= cd -- "$(dirname -- "$0")" && pwd)
home=$(mktemp -d)
trap 'rm -rf "$home"' EXIT
unset MY_API_TOKEN MY_API_URL
export HOME="$home" XDG_CONFIG_HOME="$home/.config" MY_NO_KEYRING=1

# The configuration of the README.
mkdir -p "$HOME/bin"
ln -s "$HELPER" "$HOME/bin/bazel-credential-my"
export PATH="$HOME/bin:$PATH"
# The program after the last `=`. Bazel passes only `get`.
helper=$(sed 's/.*=//' "$here/bazelrc")

# Prints the status of the server.
fetch() {
	printf '{"uri":"%s"}' "$SERVER/v1/me" | "$helper" get >"$HOME/answer" 2>"$HOME/messages" || { echo failed; return; }
	jq -r '.headers | to_entries[] | .key as $name | .value[] | "\($name): \(.)"' "$HOME/answer" |
		curl -s -o /dev/null -w '%{http_code}\n' -H @- "$SERVER/v1/me"
}
must_be() {
	[ "$1" = "$2" ] && return
	echo "$1 instead of $2: $(cat "$HOME/messages")" >&2
	exit 1
}

mkdir -m 700 "$HOME/.my"
printf '{"api_url":"%s"}' "$SERVER" >"$HOME/.my/config.json"
must_be "$(fetch)" failed
grep -q 'not logged in' "$HOME/messages"

# Log in without the email.
printf '{"version":1,"provider":"mycli","secret":"%s"}' "$TOKEN" | "$HELPER" store >/dev/null
must_be "$(fetch)" 200
test "$(echo '{"uri":"https://github.com/acme/rules.tar.gz"}' | "$helper" get)" = '{"headers":{}}'
echo 'accepted'

MY_API_TOKEN=myc_wrong
export MY_API_TOKEN
must_be "$(fetch)" 401
unset MY_API_TOKEN
must_be "$(fetch)" 200
echo 'refused'
