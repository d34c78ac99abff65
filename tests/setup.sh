#!/bin/sh
# Installs what the tests need into .drover/test: the Claude CLI in both builds, old versions of it for the
# patcher, the clients for Python and Node (OpenAI's own, the AI SDK and LangChain), and schemathesis. The versions are
# pinned in tests/*.txt and tests/clients. Does nothing where all is there already.
set -eu

tests=$(cd "$(dirname "$0")" && pwd)
parts=$(dirname "$tests")/.drover/test

need() {
    command -v "$1" >/dev/null 2>&1 || {
        echo "tests/setup.sh: $1 is missing; on Debian: apt-get install $2" >&2
        exit 1
    }
}

# installed NAME PINS: whether NAME was installed from the pins as they are now. The mark is written last,
# so that an install that was cut short is done again.
installed() { [ -f "$parts/$1/.pins" ] && cmp -s "$2" "$parts/$1/.pins"; }
mark() { cp "$2" "$parts/$1/.pins"; }

# from_npm NAME PINS: installs a package.json into the folder NAME.
from_npm() {
    installed "$1" "$2" && return 0
    need npm npm
    mkdir -p "$parts/$1"
    cp "$2" "$parts/$1/package.json"
    # An engine that is too old for the package's taste is a warning only; the builds that we pin run on it.
    npm install --prefix "$parts/$1" --no-audit --no-fund --loglevel=error
}

# The package's install script puts the binary of this platform in place; where npm was told to run no
# scripts, the binary lies in the platform's own package.
native_in_place() {
    modules=$parts/native/node_modules/@anthropic-ai
    binary=$modules/claude-code/bin/claude.exe
    "$binary" --version >/dev/null 2>&1 && return 0
    for package in "$modules"/claude-code-*; do
        if "$package/claude" --version >/dev/null 2>&1; then
            ln -f "$package/claude" "$binary"
            return 0
        fi
    done
    echo "tests/setup.sh: npm installed no native Claude CLI that runs on this machine" >&2
    exit 1
}

from_npm native "$tests/clients/native/package.json"
native_in_place
mark native "$tests/clients/native/package.json"

# The last version in JavaScript, and one for each way in which earlier ones refuse root.
for version in js js-1.0.30 js-1.0.124 js-2.0.14; do
    from_npm "$version" "$tests/clients/$version/package.json"
    mark "$version" "$tests/clients/$version/package.json"
done

from_npm node "$tests/clients/package.json"
mark node "$tests/clients/package.json"

# from_pypi NAME PINS: installs what the pins say into an environment of its own, the folder NAME.
from_pypi() {
    installed "$1" "$2" && return 0
    need python3 python3-venv
    python3 -m venv "$parts/$1"
    "$parts/$1/bin/pip" install --quiet --disable-pip-version-check -r "$2"
    mark "$1" "$2"
}

from_pypi python "$tests/requirements.txt"
# Apart, since it wants other versions of what the clients want.
from_pypi schemathesis "$tests/schemathesis.txt"
