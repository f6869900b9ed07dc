#!/bin/sh
# Runs one command with the token in its environment: with-token.sh ./build.sh --release
# Without a token the command is not started.
exec my-credential-helper exec -- "$@"
