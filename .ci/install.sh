#!/bin/sh
# Installs my-credential-helper from the folder of this file, or removes it.
#   ./install.sh [--prefix DIR] [--uninstall]
# The default for DIR is ~/.local, and /usr/local for root.
set -eu
here=$(CDPATH= cd -- "$(dirname -- "$0")" && pwd)
if [ "$(id -u)" -eq 0 ]; then prefix=/usr/local; else prefix=$HOME/.local; fi
uninstall=
while [ $# -gt 0 ]; do
    case $1 in
    --prefix) prefix=${2:?--prefix needs a directory}; shift ;;
    --uninstall) uninstall=1 ;;
    *) sed -n 's/^# \{0,1\}//p' "$0" | sed -n 2,4p; exit 2 ;;
    esac
    shift
done

# Every file and link of this folder, except this one.
contents() { (cd "$here" && find bin share ! -type d); }

# The files that were installed, one a line.
manifest=$prefix/share/my-credential-helper/installed

# Whether a file below the prefix is this program's: a program of another name is a link to it.
is_ours() {
    case $1 in
    bin/my-credential-helper | share/*my-credential-helper*) ;;
    *)
        case $(readlink "$prefix/$1" || true) in
        my-credential-helper | */my-credential-helper) ;;
        *) return 1 ;;
        esac
        ;;
    esac
}

if [ -n "$uninstall" ]; then
    # Version 0.1.0 wrote no manifest.
    if [ -e "$manifest" ]; then cat "$manifest"; else contents; fi | while IFS= read -r file; do
        if is_ours "$file"; then rm -f "$prefix/$file"; fi
    done
    rm -f "$manifest"
    rmdir "$prefix/share/doc/my-credential-helper" "$prefix/share/my-credential-helper" 2>/dev/null || true
    echo "my-credential-helper is removed from $prefix; your login is not: \`my-credential-helper logout\` ends it before."
    exit 0
fi

# A file of another program is never replaced.
contents | while IFS= read -r file; do
    old=$prefix/$file
    [ -e "$old" ] || [ -L "$old" ] || continue
    is_ours "$file" || {
        echo "error: $old is there, and is no link to my-credential-helper; move it away first" >&2
        exit 1
    }
done
# Written first, so that an installation that was interrupted can be removed.
mkdir -p "$(dirname "$manifest")"
{ cat "$manifest" 2>/dev/null || true; contents; } | sort -u >"$manifest.new.$$"
mv -f "$manifest.new.$$" "$manifest"
contents | while IFS= read -r file; do
    mkdir -p "$prefix/$(dirname "$file")"
    # Written to a new file and renamed, so that a running program is not overwritten.
    cp -P "$here/$file" "$prefix/$file.new.$$"
    mv -f "$prefix/$file.new.$$" "$prefix/$file"
done
echo "my-credential-helper is in $prefix/bin."
case ":$PATH:" in
*":$prefix/bin:"*) ;;
*) echo "Put it on PATH, in your shell's profile: export PATH=\"$prefix/bin:\$PATH\"" ;;
esac
echo 'Next: my-credential-helper login --email you@example.com'
