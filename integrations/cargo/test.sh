#!/bin/sh
# Runs cargo from an empty home directory, with a credential that the registry accepts and with one that it rejects.
#   HELPER    absolute path of the program
#   REGISTRY  host:port of a sparse registry on this machine with its index below /index/, that accepts a new crate
#   TOKEN     the token that it accepts as `Authorization: Bearer …`
set -eu
here=$(CDPATH= cd -- "$(dirname -- "$0")" && pwd)
home=$(mktemp -d)
trap 'rm -rf "$home"' EXIT
# rustup finds the toolchain here.
export RUSTUP_HOME="${RUSTUP_HOME:-$HOME/.rustup}"
unset MY_API_TOKEN MY_API_URL
export HOME="$home" XDG_CONFIG_HOME="$home/.config" CARGO_HOME="$home/.cargo" MY_NO_KEYRING=1

# The configuration of the README.
mkdir -p "$HOME/bin" "$CARGO_HOME" "$XDG_CONFIG_HOME/my-credential-helper" "$HOME/hello/src"
ln -s "$HELPER" "$HOME/bin/cargo-credential-my"
export PATH="$HOME/bin:$PATH"
sed "s,https://crates\.mycli\.sh,http://$REGISTRY," "$here/config.toml" >"$CARGO_HOME/config.toml"
printf '[providers.mycli]\nhosts = ["%s"]\n' "$REGISTRY" >"$XDG_CONFIG_HOME/my-credential-helper/config.toml"

cat >"$HOME/hello/Cargo.toml" <<-'END'
	[package]
	name = "hello"
	version = "1.0.0"
	edition = "2021"
	description = "nothing"
	license = "MIT"
	publish = ["my"]
END
: >"$HOME/hello/src/lib.rs"
cd "$HOME/hello"

must_fail() {
	if "$@" >"$HOME/messages" 2>&1; then
		echo "accepted without a credential: $*" >&2
		exit 1
	fi
	grep -q '401\|no token found' "$HOME/messages" && return
	cat "$HOME/messages" >&2
	exit 1
}

must_fail cargo publish -q --no-verify

# Log in without the email.
printf '{"version":1,"provider":"mycli","secret":"%s"}' "$TOKEN" | "$HELPER" store >/dev/null
cargo publish -q --no-verify
cargo yank -q --registry my --version 1.0.0 hello
echo 'accepted'

export MY_API_TOKEN=myc_wrong
must_fail cargo yank -q --registry my --version 1.0.0 hello
unset MY_API_TOKEN
cargo yank -q --registry my --version 1.0.0 hello
echo 'refused'
