# The hosts' side of launch/remote.py, which sends it to their homes: bash t2jax-remote.sh COMMAND ...
#
#     install COMMIT EXTRA          unpack ~/t2jax-COMMIT.tar.gz, set it up, make it what jobs run: ~/t2jax
#     start JOB COMMAND ...         start a job that outlives the connection, in ~/t2jax
#     follow JOB OFFSET SECONDS     write its log from a byte on, as lines `OFFSET BASE64`, until it ends: `STATE end`
#     wait JOB SECONDS              write its STATE once it has ended, or so many seconds later
#     stop JOB SIGNAL               send its process group a signal, or see to it that it never begins
#
# STATE is `code N`, `running`, `lost` (killed with all it was, or the host has restarted) or `absent`. A job is a folder
# ~/t2jax-jobs/JOB: log, group (process group), code (written last, whole), lock (held as long as the job lives).
# gcloud runs a command anew whose connection was lost: each of these may be run twice, also at the same time.
set -euo pipefail
jobs=$HOME/t2jax-jobs

install() {
    local code=$HOME/t2jax-code/$1 python
    mkdir -p "$jobs" "$HOME/t2jax-code" "$HOME/t2jax-environments"
    exec 9>"$HOME/t2jax-code/lock"
    flock 9
    touch "$jobs" # not idle (launch/guard.sh)
    if [ ! -e "$code/.whole" ]; then
        rm -rf "$code" && mkdir "$code"
        tar -xzf "$HOME/t2jax-$1.tar.gz" -C "$code"
        touch "$code/.whole"
    fi
    python=$(bash "$HOME/t2jax-setup.sh" "$code" "$HOME/t2jax-environments/$1" "$2" 9>&- | tail -n 1)
    printf '%s\n' "$python" >"$HOME/t2jax-code/python.new"
    mv "$HOME/t2jax-code/python.new" "$HOME/t2jax-code/python"
    ln -sfn "$code" "$HOME/t2jax"
    touch "$jobs"
    echo "installed $1: $python"
}

start() {
    local job=$1
    shift
    mkdir -p "$jobs/$job"
    ln -sfn "$job" "$jobs/latest"
    setsid nohup bash "$0" work "$job" "$@" </dev/null >/dev/null 2>&1 &
    for _ in $(seq 300); do
        [ "$(state "$job")" = absent ] || { echo 'started end' && return; }
        sleep 0.1
    done
    echo "job $job did not start on $(hostname) within 30 s" >&2
    return 1
}

# The job's own process: what it is and how it ended, on disk.
work() {
    cd "$jobs/$1"
    shift
    exec 9>lock
    flock -w 5 9 || exit 0 # it is under way; `state` holds it for a moment
    [ ! -e code ] && [ ! -e group ] || exit 0 # it was
    local folder=$PWD code=0
    if [ -e "$HOME/t2jax-code/python" ]; then
        PATH=$(dirname "$(cat "$HOME/t2jax-code/python")"):$PATH
        export PATH
    fi
    export PYTHONUNBUFFERED=1
    cd "$HOME/t2jax" 2>/dev/null || cd "$HOME"
    # Its own group, so that a signal reaches all of it and not this.
    setsid bash -c 'echo $$ >"$0/group.new" && mv "$0/group.new" "$0/group" && exec "$@"' "$folder" "$@" \
        >"$folder/log" 2>&1 9>&- &
    wait $! || code=$?
    echo "$code" >"$folder/code.new"
    mv "$folder/code.new" "$folder/code"
}

state() {
    local folder=$jobs/$1
    if [ -s "$folder/code" ]; then
        echo "code $(cat "$folder/code")"
    elif [ ! -e "$folder/lock" ]; then
        echo absent
    elif flock -n "$folder/lock" true; then # nobody holds it
        if [ -s "$folder/code" ]; then
            echo "code $(cat "$folder/code")"
        elif [ -e "$folder/group" ]; then
            echo lost
        else
            echo absent
        fi
    elif [ -e "$folder/group" ]; then
        echo running
    else
        echo absent # not yet
    fi
}

follow() {
    local job=$1 at=$2 end=$((SECONDS + $3)) log=$jobs/$1/log now size part
    while :; do
        now=$(state "$job") # before the log is read: then all it wrote is in it
        size=$(stat -c %s "$log" 2>/dev/null || echo 0)
        while [ "$at" -lt "$size" ]; do
            part=$((size - at > 49152 ? 49152 : size - at))
            printf '\n%s %s\n' "$at" "$(tail -c "+$((at + 1))" "$log" | head -c "$part" | base64 -w 0)"
            at=$((at + part))
        done
        case $now in running) ;; *) printf '\n%s end\n' "$now" && return ;; esac
        [ "$SECONDS" -lt "$end" ] || return 0
        printf '\n' # still connected; and this ends where nobody reads it
        sleep 0.5
    done
}

wait_for() {
    local end=$((SECONDS + $2))
    while [ "$(state "$1")" = running ] && [ "$SECONDS" -lt "$end" ]; do sleep 0.2; done
    echo "$(state "$1") end"
}

stop() {
    local folder=$jobs/$1
    mkdir -p "$folder"
    for _ in $(seq 100); do # one that has not begun never will
        [ "$(state "$1")" = absent ] || break
        if (flock -n 9 && [ ! -e "$folder/group" ] && echo 143 >"$folder/code") 9>"$folder/lock"; then break; fi
        sleep 0.1
    done
    if [ "$(state "$1")" = running ]; then
        kill -s "$2" -- "-$(cat "$folder/group")" || true
    fi
    echo 'stopped end'
}

main() {
    local command=$1
    shift
    case $command in
    install | start | work | follow | stop) "$command" "$@" ;;
    wait) wait_for "$@" ;;
    *) echo "no command $command" >&2 && return 2 ;;
    esac
}

# All of this file is read before anything is done, so that it can be replaced meanwhile.
main "$@"; exit
