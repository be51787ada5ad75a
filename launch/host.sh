# Runs on every host of a slice when it boots, as root; launch/hosts.py writes the values of
# T2JAX_SWEEP, T2JAX_SLICE, T2JAX_ZONE, T2JAX_HOSTS and T2JAX_COMMIT above this line, each quoted.
#
# Code and environment, then the worker. However that ends, the first host gives the slice back: no quota leaks, also
# where whoever asked for the slice is gone. What it said is in the bucket: T2JAX_SWEEP/logs/SLICE-HOST.log.
set -euo pipefail
export HOME=${HOME:-/root} PATH=$PATH:/snap/bin # of a boot script, without what a login adds
root=${T2JAX_ROOT:-/opt/t2jax}
mkdir -p "$root"
exec >>"$root/host.log" 2>&1

metadata() {
    curl --silent --fail --header 'Metadata-Flavor: Google' \
        "http://${GCE_METADATA_HOST:-metadata.google.internal}/computeMetadata/v1/instance/attributes/$1"
}

host=$(metadata agent-worker-number)
part=$(metadata tpu-env | sed -n "s/^MEGASCALE_SLICE_ID: *'\{0,1\}\([0-9]*\).*/\1/p" || true)

end() {
    code=$?
    trap '' EXIT TERM INT
    echo "the host ends with exit code $code"
    gcloud storage cp "$root/host.log" "$T2JAX_SWEEP/logs/$T2JAX_SLICE-${part:-0}-$host.log" --quiet || true
    if [ "$host" = 0 ] && [ "${part:-0}" = 0 ]; then
        for pause in 5 15 60 300; do
            gcloud compute tpus queued-resources delete "$T2JAX_SLICE" --zone="$T2JAX_ZONE" --force --async --quiet && break
            sleep "$pause"
        done
    fi
    exit "$code"
}
trap end EXIT

code="$root/$T2JAX_COMMIT"
if [ ! -e "$code/.whole" ]; then
    rm -rf "$code" && mkdir -p "$code"
    gcloud storage cp "$T2JAX_SWEEP/code/$T2JAX_COMMIT.tar.gz" "$root/code.tar.gz" --quiet
    tar -xzf "$root/code.tar.gz" -C "$code"
    touch "$code/.whole"
fi
python=$(bash "$code/launch/setup.sh" "$code" "$root/env-$T2JAX_COMMIT" tpu | tail -n 1)

# Not in the foreground, so that this shell hears a machine's shutdown and passes it on.
cd "$code"
"$python" -m launch.host "$T2JAX_SLICE" "$T2JAX_SWEEP" --hosts "$T2JAX_HOSTS" --root "$root" &
worker=$!
trap 'kill -TERM "$worker" 2>/dev/null' TERM INT
while kill -0 "$worker" 2>/dev/null; do wait "$worker" && code_of_worker=0 || code_of_worker=$?; done
exit "${code_of_worker:-0}"
