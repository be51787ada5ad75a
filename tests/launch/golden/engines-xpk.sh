#!/usr/bin/env bash
# Written by launch/engines.py: xpk workloads that train experiments/paper.py, longest first
#
# on v5e:4x4, at 40% of its peak and the price on demand, by t2jax inspect:
#
#     run                     N          D  hours  dollars
#     37M@2.56e19    37,060,608  1.151e+11  8.034   154.25
#     901M@2.56e19  901,726,208  4.732e+09  6.796   130.49
#     2 runs                                 14.8      285
#
# Of the image: its working directory is this repository, with t2jax installed, as by
#
#     FROM python:3.12
#     WORKDIR /t2jax
#     COPY . .
#     RUN pip install '.[tpu]'
#
# A restart goes on from the last checkpoint. A machine that is taken away counts as one, and so does a stop with
# exit code 143; an error (exit codes 1 and 2) ends a workload. Where one of that name is there already, xpk asks
# whether to overwrite it, and a no ends this script.

set -euo pipefail

xpk workload create --workload=paper-37m-2-56e19-0dff430d --cluster=tpus --zone=us-west4-a --project=my-project --tpu-type=v5litepod-16 --num-slices=1 --docker-image=us-docker.pkg.dev/my-project/images/t2jax:1 --priority=medium --max-restarts=100 --restart-on-exit-codes=143 --termination-grace-period-seconds=120 '--command=exec t2jax train experiments/paper.py --run 37M@2.56e19 --workdir gs://bucket/paper --shards gs://bucket/refinedweb --distributed'
xpk workload create --workload=paper-901m-2-56e19-daa71bfc --cluster=tpus --zone=us-west4-a --project=my-project --tpu-type=v5litepod-16 --num-slices=1 --docker-image=us-docker.pkg.dev/my-project/images/t2jax:1 --priority=medium --max-restarts=100 --restart-on-exit-codes=143 --termination-grace-period-seconds=120 '--command=exec t2jax train experiments/paper.py --run 901M@2.56e19 --workdir gs://bucket/paper --shards gs://bucket/refinedweb --distributed'
