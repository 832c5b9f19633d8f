#!/bin/sh
# Installs cached-lambda @VERSION@ from @REPOSITORY@:
#
#     curl -fsSL @REPOSITORY@/releases/download/v@VERSION@/install.sh | sh
#
# into cargo's folder for binaries where there is one, else into ~/.local/bin, or where CACHED_LAMBDA_DIR says. The archive
# has to have the checksum that the release states, or nothing is installed. CACHED_LAMBDA_URL is where the release's files
# are, where that is a mirror (https) or a folder.
set -eu

say() { printf 'cached-lambda: %s\n' "$*" >&2; }
fail() {
    say "error: $*; nothing was installed"
    exit 1
}

# All of it is in functions, so that a download that is cut off does nothing.
main() {
    url=${CACHED_LAMBDA_URL:-@REPOSITORY@/releases/download/v@VERSION@}
    directory=${CACHED_LAMBDA_DIR:-}
    if [ -z "$directory" ]; then
        directory=${CARGO_HOME:-$HOME/.cargo}/bin
        [ -d "$directory" ] || directory=$HOME/.local/bin
    fi
    archive=cached-lambda-$(target).tar.gz

    work=$(mktemp -d)
    trap 'rm -rf "$work" "$directory/.cached-lambda.new"' EXIT
    trap 'exit 130' INT TERM
    fetch SHA256SUMS
    grep " $archive\$" "$work/SHA256SUMS" >"$work/expected" || fail "$url has no $archive"
    fetch "$archive"
    (cd "$work" && checksum -c expected >/dev/null 2>&1) || fail "$url/$archive does not match its checksum in SHA256SUMS"
    tar -xzf "$work/$archive" -C "$work"

    mkdir -p "$directory" || fail "cannot make $directory"
    [ ! -d "$directory/cached-lambda" ] || fail "$directory/cached-lambda is a folder"
    # Renamed, so that there is never half of it, and one that runs goes on.
    cp "$work/${archive%.tar.gz}/cached-lambda" "$directory/.cached-lambda.new" || fail "cannot write to $directory"
    version=$("$directory/.cached-lambda.new" --version) || fail "the binary of $archive does not run here"
    mv -f "$directory/.cached-lambda.new" "$directory/cached-lambda" || fail "cannot write to $directory"
    say "installed $version as $directory/cached-lambda"
    case :$PATH: in
    *":$directory:"*) ;;
    *) say "it is not found yet: add $directory to PATH" ;;
    esac
}

# The name that Rust has for this machine.
target() {
    machine=$(uname -m)
    case $machine in
    x86_64 | amd64) machine=x86_64 ;;
    aarch64 | arm64) machine=aarch64 ;;
    *) fail "there is no binary for $machine: cargo install --locked cached-lambda" ;;
    esac
    case $(uname -s) in
    Linux)
        # Where the C library is musl, this is its loader.
        if [ -e "/lib/ld-musl-$machine.so.1" ]; then echo "$machine-unknown-linux-musl"; else echo "$machine-unknown-linux-gnu"; fi
        ;;
    Darwin) echo "$machine-apple-darwin" ;;
    *) fail "there is no installer for $(uname -s): see @REPOSITORY@" ;;
    esac
}

# fetch FILE: of the release.
fetch() {
    if [ -d "$url" ]; then
        cp "$url/$1" "$work/$1" || fail "cannot read $url/$1"
    elif command -v curl >/dev/null; then
        curl --proto '=https' --fail --silent --show-error --location --retry 3 --output "$work/$1" "$url/$1" ||
            fail "cannot fetch $url/$1"
    elif command -v wget >/dev/null; then
        wget --quiet --output-document "$work/$1" "$url/$1" || fail "cannot fetch $url/$1"
    else
        fail "neither curl nor wget is there"
    fi
}

checksum() {
    if command -v sha256sum >/dev/null; then sha256sum "$@"; else shasum -a 256 "$@"; fi
}

main
