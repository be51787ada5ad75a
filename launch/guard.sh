#!/usr/bin/env bash
# Runs on every host of a slice that `launch/slices.py job` asked for, when it boots, as root. The first host deletes the
# slice once no job has been on it for as long as its metadata says (t2jax-idle, in seconds), whatever has become of the
# machine that asked for it: before the job, since then somebody may never have come, and after it, time to copy results.
# It needs the scope cloud-platform and a service account that may delete queued resources (roles/tpu.admin).
set -uo pipefail
export HOME=${HOME:-/root} PATH=$PATH:/snap/bin # of a boot script, without what a login adds

attribute() {
    curl --silent --fail --retry 5 --header 'Metadata-Flavor: Google' \
        "http://${GCE_METADATA_HOST:-metadata.google.internal}/computeMetadata/v1/instance/attributes/$1"
}

[ "$(attribute agent-worker-number)" = 0 ] || exit 0
part=$(attribute tpu-env | sed -n "s/^MEGASCALE_SLICE_ID: *'\{0,1\}\([0-9]*\).*/\1/p")
[ "${part:-0}" = 0 ] || exit 0
name=$(attribute t2jax-request)
zone=$(attribute t2jax-zone)
idle=$(attribute t2jax-idle)

# When something was last done for a job: now, while one runs (launch/remote.sh: it holds its lock).
busy=$(date +%s)
while [ $(($(date +%s) - busy)) -lt "$idle" ]; do
    sleep $((idle < 60 ? 1 : 30))
    for jobs in /home/*/t2jax-jobs "$HOME/t2jax-jobs"; do
        [ -d "$jobs" ] || continue
        for lock in "$jobs"/*/lock; do
            if [ -e "$lock" ] && ! flock -n "$lock" true; then busy=$(date +%s); fi
        done
        touched=$(stat -c %Y "$jobs")
        [ "$touched" -le "$busy" ] || busy=$touched
    done
done
echo "no job has been here for $idle s: the slice deletes itself"
for pause in 10 60 300 300 300 300 300 300; do
    gcloud compute tpus queued-resources delete "$name" --zone="$zone" --force --async --quiet && exit 0
    sleep "$pause"
done
exit 1
