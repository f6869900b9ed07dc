#!/bin/sh
# Runs terraform from an empty home directory, with a token that the registry accepts and with one that it rejects.
#   HELPER     absolute path of the program
#   SERVER     host:port of a registry with TLS
#   AUTHORITY  file of the trusted certificate
#   MODULE     a module there: namespace/name/system
#   TOKEN      a token that it accepts
set -eu
here=$(CDPATH= cd -- "$(dirname -- "$0")" && pwd)
home=$(mktemp -d)
trap 'rm -rf "$home"' EXIT
unset MY_API_TOKEN MY_API_URL TF_CLI_CONFIG_FILE TF_DATA_DIR
export HOME="$home" XDG_CONFIG_HOME="$home/.config" MY_NO_KEYRING=1 CHECKPOINT_DISABLE=1
export SSL_CERT_FILE="$AUTHORITY" SSL_CERT_DIR=/nonexistent

# The configuration of the README.
mkdir -p "$HOME/.terraform.d/plugins" "$HOME/project" "$XDG_CONFIG_HOME/my-credential-helper"
ln -s "$HELPER" "$HOME/.terraform.d/plugins/terraform-credentials-my"
cp "$here/terraformrc" "$HOME/.terraformrc"
printf '[providers.mycli]\nhosts = ["%s"]\n' "$SERVER" >"$XDG_CONFIG_HOME/my-credential-helper/config.toml"
printf 'module "hello" {\n  source = "%s/%s"\n}\n' "$SERVER" "$MODULE" >"$HOME/project/main.tf"

init() {
	rm -rf "$HOME/project/.terraform"
	terraform "-chdir=$HOME/project" init -no-color
}
must_fail() {
	if init >"$HOME/messages" 2>&1; then
		echo 'accepted without a credential' >&2
		exit 1
	fi
	grep -qi 'unauthorized\|401' "$HOME/messages" && return
	cat "$HOME/messages" >&2
	exit 1
}

must_fail

# Log in without the email.
printf '{"version":1,"provider":"mycli","secret":"%s"}' "$TOKEN" | "$HELPER" store >/dev/null
init >"$HOME/messages" 2>&1 || { cat "$HOME/messages" >&2; exit 1; }
echo 'accepted'

export MY_API_TOKEN=myc_wrong
must_fail
unset MY_API_TOKEN
init >/dev/null
echo 'refused'
