"""Queued resources: asking Cloud TPU for slices, seeing what became of them, giving them back.

A request waits until there are TPUs for it, and stays in its zone's queue, counted against the quota, until it is
deleted: also when it has FAILED, when its time has passed, and when its TPUs were taken away (SUSPENDED).
Source: the Cloud TPU documentation's page "Manage queued resources", and `gcloud compute tpus queued-resources`.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from launch import machines
from launch.gcloud import Gcloud, GcloudError
from t2jax.slices import Slice

ACTIVE = 'ACTIVE'
WAITING = ('CREATING', 'ACCEPTED', 'WAITING_FOR_RESOURCES', 'PROVISIONING')
ENDING = ('DELETING', 'SUSPENDING')
ENDED = ('FAILED', 'SUSPENDED')  # without TPUs, and never to have any again
_GROUP = ('compute', 'tpus', 'queued-resources')


@dataclass(frozen=True)
class Request:
    """What is asked for."""

    name: str
    zone: str
    tpu: Slice
    spot: bool = False
    runtime: str | None = None  # None: the kind's own
    valid_until: str | None = None  # how long it may wait, as gcloud writes durations, e.g. 6h
    labels: tuple[tuple[str, str], ...] = ()
    metadata: tuple[tuple[str, str], ...] = ()  # that its hosts can read
    startup_script: Path | None = None  # run on every host when it boots
    service_account: str | None = None  # None: Compute Engine's default
    network: str | None = None
    subnetwork: str | None = None
    internal_ips: bool = False

    @property
    def nodes(self) -> list[str]:
        """The names of its slices' TPU VMs."""
        return [self.name] if self.tpu.count == 1 else [f'{self.name}-{i}' for i in range(self.tpu.count)]

    def arguments(self) -> list[str]:
        """Return gcloud's arguments that ask for it."""
        several = self.tpu.count > 1
        flags = {
            'zone': self.zone,
            'accelerator-type': machines.accelerator_type(self.tpu),
            'runtime-version': self.runtime or machines.runtime_version(self.tpu),
            'node-id': None if several else self.name,
            'node-count': str(self.tpu.count) if several else None,
            'node-prefix': self.name if several else None,
            'valid-until-duration': self.valid_until,
            'labels': ','.join(f'{key}={value}' for key, value in self.labels) or None,
            'metadata': ','.join(f'{key}={value}' for key, value in self.metadata) or None,
            'metadata-from-file': f'startup-script={self.startup_script}' if self.startup_script else None,
            'service-account': self.service_account,
            'scopes': 'cloud-platform',  # its hosts read the bucket, and delete the slice when their work is done
            'network': self.network,
            'subnetwork': self.subnetwork,
        }
        switches = [name for name, on in (('spot', self.spot), ('internal-ips', self.internal_ips)) if on]
        given = [f'--{name}={value}' for name, value in flags.items() if value is not None]
        return [*_GROUP, 'create', self.name, *given, *(f'--{name}' for name in switches), '--async']


@dataclass(frozen=True)
class Seen:
    """A queued resource as gcloud shows it."""

    name: str
    state: str
    said: str = ''  # why it failed
    labels: Mapping[str, str] = field(default_factory=dict)
    nodes: tuple[str, ...] = ()  # its TPU VMs
    kind: str = ''  # accelerator type


class QueuedResources:
    """The queued resources of a project; every method raises GcloudError where gcloud fails."""

    def __init__(self, gcloud: Gcloud) -> None:
        self.gcloud = gcloud

    def create(self, request: Request) -> None:
        """Ask for slices; what has the name already is kept."""
        try:
            self.gcloud.change(*request.arguments())
        except GcloudError as error:
            if not error.exists:
                raise

    def delete(self, name: str, zone: str) -> None:
        """Delete a request with its TPUs, in whatever state it is; one that is not there is deleted already."""
        try:
            self.gcloud.change(*delete_arguments(name, zone))
        except GcloudError as error:
            if not error.lacks(f'queuedResources/{name}'):
                raise

    def describe(self, name: str, zone: str) -> Seen | None:
        """Return one request, or None where there is none."""
        try:
            found = self.gcloud.ask_json(*describe_arguments(name, zone))
        except GcloudError as error:
            if error.lacks(f'queuedResources/{name}'):
                return None
            raise
        return parse(found)

    def list(self, zone: str) -> list[Seen]:
        """Return all requests in a zone, whosever they are."""
        found = self.gcloud.ask_json(*_GROUP, 'list', f'--zone={zone}')
        if not isinstance(found, list):
            raise GcloudError(f'gcloud printed no list of the queued resources in {zone}; try again, or update gcloud')
        return [parse(one) for one in found]


def describe_arguments(name: str, zone: str) -> list[str]:
    """Return gcloud's arguments that show a request."""
    return [*_GROUP, 'describe', name, f'--zone={zone}']


def delete_arguments(name: str, zone: str) -> list[str]:
    """Return gcloud's arguments that delete a request with its TPUs (`--force`)."""
    return [*_GROUP, 'delete', name, f'--zone={zone}', '--force', '--async']


def check_zones(gcloud: Gcloud, zones_and_slices: Sequence[tuple[str, Slice]]) -> None:
    """Raise ValueError for a zone that is none, or that does not have a slice; GcloudError where gcloud fails."""
    by_zone: dict[str, list[str]] = {}
    for zone, tpu in zones_and_slices:
        if zone not in by_zone:
            listing = ('compute', 'tpus', 'accelerator-types', 'list', f'--zone={zone}')
            by_zone[zone] = [str(found['name']).rpartition('/')[2] for found in gcloud.ask_json(*listing)]
        kind, prefix = machines.accelerator_type(tpu), machines.KINDS[tpu.kind].prefix
        if kind not in by_zone[zone]:
            others = sorted({found.rpartition('-')[0] for found in by_zone[zone]})
            there = [found for found in by_zone[zone] if found.startswith(f'{prefix}-')]
            has = f'of {tpu.kind} it has {", ".join(there)}' if there else f'it has {", ".join(others) or "no TPUs"}'
            raise ValueError(f'zone {zone} has no {kind} ({dataclasses.replace(tpu, count=1)}); {has}')


def parse(found: Any) -> Seen:
    """Read what gcloud describes; raises GcloudError for what is no queued resource."""
    try:
        name, state, nodes = _short(found['name']), found['state'], []
        reasons = [part.get('error', {}).get('message') for part in state.values() if isinstance(part, dict)]
        specs = (found.get('tpu') or {}).get('nodeSpec') or []
        for spec in specs:
            if several := spec.get('multisliceParams') or spec.get('multiNodeParams'):
                nodes += [f'{several.get("nodeIdPrefix") or name}-{i}' for i in range(int(several['nodeCount']))]
            else:
                nodes.append(str(spec['nodeId']))
        node = specs[0].get('node') or {} if specs else {}
        labels, kind = dict(node.get('labels') or {}), str(node.get('acceleratorType', ''))
        return Seen(name, str(state['state']), '; '.join(filter(None, reasons)), labels, tuple(nodes), kind)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise GcloudError('gcloud described a queued resource in a way unknown here; update gcloud') from error


def _short(path: Any) -> str:
    return str(path).rpartition('/')[2]
