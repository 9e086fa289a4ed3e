#!/bin/sh
# Says what is missing for `make`, one line each, with the command that installs it.
# Usage: prerequisites.sh [PYTHON]
set -eu

python=${1:-python3}

fail() {
    echo "xen-fileproxy: $1" >&2
    exit 1
}

command -v "$python" >/dev/null 2>&1 ||
    fail "$python is missing; install it with: sudo apt install python3 python3-venv"

"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
    fail "$("$python" --version) is too old, 3.11 or newer is needed; use another with: make PYTHON=/path/to/python3.11"

# Debian splits ensurepip off into python3-venv, so that `import venv` alone proves nothing.
"$python" -c 'import ensurepip, venv' 2>/dev/null ||
    fail "Python's venv module is missing; install it with: sudo apt install python3-venv"
