# Set up t2jax on a host that runs Ubuntu: bash setup.sh CODE ENVIRONMENT [EXTRA]
#
# Makes a virtual environment in the folder ENVIRONMENT, installs the repository in the folder CODE into it with an EXTRA
# of its setup.py (tpu), and prints the path of its python as the last line; all else goes to stderr. A stamp is written
# last: a second call returns at once, and one that was interrupted begins anew. With T2JAX_ENVIRONMENT set to an
# environment that has t2jax (a custom image, a test), nothing is installed and its python is printed.
#
# t2jax needs Python 3.11 or newer. Ubuntu 24.04 has 3.12, often without venv; 22.04 has 3.10: then uv, a package of the
# registry, brings one.
set -euo pipefail

# Try a command five times: at boot the network, the registry and apt (whose lock others hold) may not be ready.
again() {
    local pause
    for pause in 2 10 30 60 0; do
        "$@" && return 0
        [ "$pause" = 0 ] || { echo "$1 failed; again in $pause s" && sleep "$pause"; }
    done
    return 1
}

find_python() {
    local name
    for name in python3.12 python3.13 python3.11 python3; do
        if "$name" -c 'import ensurepip, sys, venv; sys.exit(not (3, 11) <= sys.version_info < (3, 14))'; then
            echo "$name"
            return
        fi
    done 2>/dev/null
    return 1
}

make_environment() {
    local environment=$1 python as_root=sudo
    if python=$(find_python); then
        "$python" -m venv "$environment"
        return
    fi
    if ! python3 -m pip --version >/dev/null 2>&1; then
        [ "$(id -u)" != 0 ] || as_root=
        again $as_root apt-get -o DPkg::Lock::Timeout=300 update -q
        again $as_root env DEBIAN_FRONTEND=noninteractive \
            apt-get -o DPkg::Lock::Timeout=300 install -y -q --no-install-recommends python3-pip
    fi
    # Into a folder of its own: 24.04 refuses packages of others in the system's.
    again python3 -m pip install --quiet --upgrade --target "$environment.uv" uv
    again "$environment.uv/bin/uv" venv --seed --python '>=3.11,<3.14' "$environment"
}

set_up() {
    local code=$1 environment=$2 extra=$3 stamp=$2/t2jax-installed wanted
    wanted="$code[$extra]"
    mkdir -p "$(dirname "$environment")"
    exec 8>"$environment.lock"
    flock 8 # one at a time
    [ "$(cat "$stamp" 2>/dev/null)" = "$wanted" ] && return
    rm -rf "$environment"
    make_environment "$environment" 8>&-
    again "$environment/bin/python" -m pip install --quiet --disable-pip-version-check "$code${extra:+[$extra]}" 8>&-
    "$environment/bin/python" -c 'import importlib.util, sys; sys.exit(importlib.util.find_spec("t2jax") is None)' 8>&-
    echo "$wanted" >"$stamp.new"
    mv "$stamp.new" "$stamp"
}

main() {
    if [ $# -lt 2 ]; then
        echo 'usage: bash setup.sh CODE ENVIRONMENT [EXTRA]' >&2
        return 2
    fi
    if [ -n "${T2JAX_ENVIRONMENT:-}" ]; then
        if ! (cd / && "$T2JAX_ENVIRONMENT/bin/python" -c 'import t2jax') >&2; then
            echo "T2JAX_ENVIRONMENT is $T2JAX_ENVIRONMENT, whose bin/python has no t2jax; install it there, or unset it" >&2
            return 2
        fi
        echo "$T2JAX_ENVIRONMENT/bin/python"
        return
    fi
    if [ ! -e "$1/setup.py" ]; then
        echo "$1 has no setup.py; give the folder of the repository" >&2
        return 2
    fi
    set_up "$1" "$2" "${3-tpu}" >&2
    echo "$2/bin/python"
}

main "$@"; exit
