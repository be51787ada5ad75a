# Runs on every host of a slice when it boots, as root; launch/startup.py writes the values of
# T2JAX_SWEEP, T2JAX_PROJECT, T2JAX_SLICE, T2JAX_ZONE, T2JAX_HOSTS and T2JAX_COMMIT above this line, each quoted.
#
# Code and environment, then the worker. However that ends, the first host gives the slice back: no quota leaks, also
# where whoever asked for the slice is gone. What it said is in the bucket: T2JAX_SWEEP/logs/SLICE-PART-HOST.log.
set -euo pipefail
export HOME=${HOME:-/root} PATH=$PATH:/snap/bin # of a boot script, without what a login adds
root=${T2JAX_ROOT:-/opt/t2jax}
mkdir -p "$root"
exec 9>"$root/lock"
flock -n 9 || exit 0 # it runs already: this is a second start by hand
exec >>"$root/host.log" 2>&1

metadata() {
    curl --silent --fail --retry 10 --retry-connrefused --retry-all-errors --max-time 60 --header 'Metadata-Flavor: Google' \
        "http://${GCE_METADATA_HOST:-metadata.google.internal}/computeMetadata/v1/instance/attributes/$1"
}

# Of several slices there is MEGASCALE_SLICE_ID; a single one is 0.
part=$(metadata tpu-env | sed -n "s/^MEGASCALE_SLICE_ID: *'\{0,1\}\([0-9]*\).*/\1/p") || part=unknown
host=$(metadata agent-worker-number) || host=unknown
part=${part:-0}

keep_log() {
    gcloud storage cp "$root/host.log" "$T2JAX_SWEEP/logs/$T2JAX_SLICE-$part-$host.log" --quiet || true
}

end() {
    code=$?
    trap '' EXIT TERM INT
    echo "the host ends with exit code $code"
    keep_log
    # Any host that does not know whether it is the first, or that has lost the first (3), gives back as well.
    if [ "$part-$host" = 0-0 ] || [ "$part" = unknown ] || [ "$host" = unknown ] || [ "$code" = 3 ]; then
        for pause in 5 15 60 300; do
            gcloud compute tpus queued-resources delete "$T2JAX_SLICE" --zone="$T2JAX_ZONE" --project="$T2JAX_PROJECT" \
                --force --async --quiet && break
            sleep "$pause"
        done
    fi
    exit "$code"
}
trap end EXIT
[ "$part" != unknown ] && [ "$host" != unknown ] || { echo 'the metadata server does not say which host this is' && exit 1; }

code="$root/$T2JAX_COMMIT"
if [ ! -e "$code/.whole" ]; then
    rm -rf "$code" && mkdir -p "$code"
    for pause in 5 15 60 0; do
        gcloud storage cp "$T2JAX_SWEEP/code/$T2JAX_COMMIT.tar.gz" "$root/code.tar.gz" --quiet && break
        [ "$pause" != 0 ] || exit 1
        sleep "$pause"
    done
    tar -xzf "$root/code.tar.gz" -C "$code"
    touch "$code/.whole"
fi
python=$(bash "$code/launch/setup.sh" "$code" "$root/env-$T2JAX_COMMIT" tpu 9>&- | tail -n 1)
keep_log

# Not in the foreground, so that this shell hears a machine's shutdown and passes it on.
cd "$code"
"$python" -m launch.host "$T2JAX_SLICE" "$T2JAX_SWEEP" --hosts "$T2JAX_HOSTS" --root "$root" 9>&- &
worker=$!
trap 'kill -TERM "$worker" 2>/dev/null' TERM INT
while kill -0 "$worker" 2>/dev/null; do wait "$worker" && code_of_worker=0 || code_of_worker=$?; done
exit "${code_of_worker:-0}"
