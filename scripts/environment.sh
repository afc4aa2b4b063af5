# Sourced by start, test and check: makes .venv from a lock with hashes when it is missing or the lock has changed.
#
#   environment runtime|test
#
# EXTRAS=torch,h2o,otel adds the optional parts of pyproject.toml. uv is used when it is there, venv and pip otherwise.
# Nothing is removed that is installed already; a stamp, written last, says that the environment is whole.

# Without byte code every start would compile a thousand files; the folder is ours to write to.
unset PYTHONDONTWRITEBYTECODE

say() { printf '%s\n' "$*" >&2; }
fail() { say "Cannot go on: $1"; [ $# -lt 2 ] || say "$2"; exit 1; }

find_python() {
    local candidate
    for candidate in ${PYTHON:-} python3.11 python3.12 python3.13 python3.14 python3 python; do
        if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then
            command -v "$candidate"
            return
        fi
    done
    return 1
}

digest() { python_of_venv -c 'import hashlib,sys; print(hashlib.sha256(sys.stdin.buffer.read()).hexdigest())'; }
python_of_venv() { "$root/.venv/bin/python" -P "$@"; }

# Runs a long command so that a signal to this script ends it too.
interruptible() {
    local status=0
    "$@" &
    child=$!
    trap 'kill -TERM "$child" 2>/dev/null; wait "$child" 2>/dev/null; exit 130' INT TERM
    wait "$child" || status=$?
    trap - INT TERM
    return "$status"
}

make_venv() {
    local python
    [ -w "$root" ] || fail "there is no environment in $root/.venv, and this account may not make one." \
        "Run this once as the owner of $root, or copy the folder."
    if python=$(find_python); then
        if command -v uv >/dev/null 2>&1 && uv venv --quiet --allow-existing --python "$python" "$root/.venv"; then return; fi
        "$python" -m venv "$root/.venv" >&2 || fail "$python could not make an environment." \
            "Install the package python3-venv (Debian, Ubuntu), or uv: https://docs.astral.sh/uv"
    elif command -v uv >/dev/null 2>&1; then
        uv venv --quiet --allow-existing --python '>=3.11' "$root/.venv" || fail "no Python 3.11 or newer was found, and uv could not fetch one."
    else
        fail "no Python 3.11 or newer was found." "Install one (https://www.python.org/downloads), or name it: PYTHON=/path/to/python3.12 $0"
    fi
}

# pip or uv with the same words; uv first, because it is ten times as fast.
install() {
    if command -v uv >/dev/null 2>&1; then
        interruptible uv pip install --quiet --python "$root/.venv/bin/python" "$@" && return
        say "uv could not install; trying pip."
    fi
    python_of_venv -m pip --version >/dev/null 2>&1 || python_of_venv -m ensurepip >/dev/null ||
        fail "pip is missing in $root/.venv." "Remove the folder and start again."
    interruptible "$root/.venv/bin/python" -P -m pip install --quiet --no-compile --disable-pip-version-check "$@"
}

# The project itself: a path file instead of a build, so nothing has to be fetched, and the command beside the interpreter.
link_project() {
    local packages launcher="$root/.venv/bin/coreplexml-server"
    packages=$(python_of_venv -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
    if [ "$(cat "$packages/coreplexml_server_source.pth" 2>/dev/null)" != "$root" ]; then
        printf '%s\n' "$root" >"$packages/coreplexml_server_source.pth"
    fi
    if ! cmp -s "$root/scripts/launcher" "$launcher"; then
        cp "$root/scripts/launcher" "$launcher"
        chmod 755 "$launcher"
    fi
}

# The requirement of an optional part, as pyproject.toml states it.
extra() {
    python_of_venv -c '
import sys, tomllib
extras = tomllib.load(open(sys.argv[1], "rb"))["project"]["optional-dependencies"]
if sys.argv[2] not in ("torch", "h2o", "otel"):
    sys.exit(f"EXTRAS knows torch, h2o and otel, not {sys.argv[2]}")
print("\n".join(extras[sys.argv[2]]))' "$root/pyproject.toml" "$1"
}

stamp_of() { { echo "$root" "${EXTRAS:-}"; cat "$root/$1" "$root/scripts/environment.sh"; python_of_venv -V; } | digest; }

fill() {
    local lock=$1 name requirement
    say "Installing the dependencies of $lock …"
    install --require-hashes -r "$root/$lock" || fail "the dependencies could not be installed." \
        "See the lines above; a network or a package index (PIP_INDEX_URL) is needed once."
    for name in $(printf '%s' "${EXTRAS:-}" | tr ',' ' '); do
        requirement=$(extra "$name") || fail "EXTRAS=$EXTRAS cannot be installed."
        say "Installing the optional part $name …"
        printf '%s\n' "$requirement" >"$root/.venv/extra-$name.txt"
        install -r "$root/.venv/extra-$name.txt" || fail "the optional part $name could not be installed."
    done
}

environment() {
    local kind=$1 lock stamp
    lock=requirements.lock
    [ "$kind" = runtime ] || lock=requirements-test.lock
    if [ -x "$root/.venv/bin/python" ] && python_of_venv -c '' 2>/dev/null && stamp=$(stamp_of "$lock") &&
        [ "$(cat "$root/.venv/stamp-$kind" 2>/dev/null)" = "$stamp" ]; then
        return
    fi
    mkdir -p "$root/.venv" 2>/dev/null || true
    [ -w "$root/.venv" ] || fail "the environment in $root/.venv is not whole, and this account may not change it." \
        "Run $0 once as the owner of $root."
    exec 9>"$root/.venv/lock"
    ! command -v flock >/dev/null 2>&1 || flock 9
    { [ -x "$root/.venv/bin/python" ] && python_of_venv -c '' 2>/dev/null; } || make_venv
    stamp=$(stamp_of "$lock")
    if [ "$(cat "$root/.venv/stamp-$kind" 2>/dev/null)" != "$stamp" ]; then
        fill "$lock"
        link_project
        [ "$kind" = runtime ] || stamp_of requirements.lock >"$root/.venv/stamp-runtime"
        printf '%s\n' "$stamp" >"$root/.venv/stamp-$kind"
        # Compile what the server imports, so that the next start is fast also for an account that may not write here.
        python_of_venv -c 'import asgi, workers.__main__' >/dev/null 2>&1 || true
    fi
    exec 9>&-
}

check_libgomp() {
    [ "$(uname -s)" = Linux ] || return 0
    python_of_venv -c 'import ctypes; ctypes.CDLL("libgomp.so.1")' 2>/dev/null ||
        fail "libgomp.so.1 is missing, which LightGBM needs." "Install it: apt-get install libgomp1 (or yum install libgomp)."
}
