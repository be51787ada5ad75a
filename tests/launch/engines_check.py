"""What SkyPilot and xpk themselves make of the files of launch/engines.py: run by a Python that has both packages.

    PYTHON tests/launch/engines_check.py skypilot FOLDER    loads every task file as `sky jobs launch` does
    PYTHON tests/launch/engines_check.py xpk FILE MANIFEST  parses every list of arguments in a JSON file as `xpk` does,
                                                            and writes the first one's manifest for Kubernetes

Prints JSON, one object a job; ends with exit code 1 and FILE: REASON where a package refuses one. No network: whatever
asks for it fails at once. HOME has to be an empty folder.
"""

import argparse
import contextlib
import json
import socket
import sys
from pathlib import Path

ZONES = {'us-west4-a': 'us-west4', 'us-central2-b': 'us-central2'}  # of SkyPilot's catalog, which it would download


def refuse(*args, **kwargs):
    raise OSError('the network is not to be asked')


def load_skypilot(folder):
    """Load task files by the function that `sky jobs launch` calls."""
    from sky import catalog
    from sky.clouds.utils import gcp_utils
    from sky.skylet import constants
    from sky.utils import common_utils, dag_utils, git, schemas

    offers = Path.home() / '.sky' / 'catalogs' / constants.CATALOG_SCHEMA_VERSION / 'gcp' / 'vms.csv'
    offers.parent.mkdir(parents=True)
    rows = [f'TPU-VM,,,,,,,,{region},{zone}' for zone, region in ZONES.items()]
    head = 'InstanceType,vCPUs,MemoryGiB,AcceleratorName,AcceleratorCount,GpuInfo,Price,SpotPrice,Region,'
    offers.write_text('\n'.join([head + 'AvailabilityZone', *rows, '']))
    # A client lets through what it does not know of job_recovery, for a server with plugins; a server does not.
    schemas._allow_additional_properties = lambda: False
    # The repository would be asked whether it is there, and what the commit is.
    git.GitRepo.get_repo_clone_info = lambda self: git.GitCloneInfo(url=self.get_https_url())
    git.GitRepo.get_ref_type = lambda self: git.GitRefType.COMMIT
    import sky
    from sky.client.cli import command

    for path in sorted(Path(folder).glob('*.yaml')):
        with naming(path.name):
            task = command._make_task_or_dag_from_entrypoint_with_overrides((str(path),))
            with sky.Dag() as dag:
                dag.add(task)
                dag.name = task.name
            dag_utils.maybe_infer_and_fill_dag_and_task_names(dag)
            dag_utils.fill_default_config_in_dag_for_job_launch(dag)
            dag.validate()
            common_utils.check_cluster_name_is_valid(task.name)
            (resources,) = task.resources
            assert gcp_utils.is_tpu_vm(resources), 'this is no TPU VM'
            yield {
                'file': path.name,
                'name': task.name,
                'accelerators': resources.accelerators,
                'advertised': set(resources.accelerators) <= set(catalog.get_tpus()),
                'accelerator_args': resources.accelerator_args,
                'cloud': str(resources.cloud),
                'region': resources.region,
                'zone': resources.zone,
                'use_spot': resources.use_spot,
                'job_recovery': resources.job_recovery,
                'nodes': task.num_nodes,
                'envs': dict(task.envs),
                'setup': task.setup,
                'run': task.run,
            }


def parse_xpk(file, manifest):
    """Parse arguments by xpk's own parser, and look up what they ask for."""
    from xpk.commands.workload import get_restart_exit_codes
    from xpk.core.config import FileSystemConfig, set_config
    from xpk.core.system_characteristics import get_system_characteristics
    from xpk.parser.core import set_parser
    from xpk.utils.execution_context import set_context

    parser = argparse.ArgumentParser(prog='xpk')
    set_parser(parser=parser)
    set_config(FileSystemConfig())
    set_context(dry_run_value=True, quiet_value=True)
    for number, arguments in enumerate(json.loads(Path(file).read_text())):
        with naming(f'line {number + 1}'):
            options = parser.parse_args(arguments)
            system, code = get_system_characteristics(options)
            assert system and not code, f'xpk knows no {options.tpu_type}'
            if number == 0:
                dry = ['--dry-run', '--skip-validation', f'--output-manifest-file={manifest}']
                create = parser.parse_args([*arguments, *dry])
                with contextlib.suppress(SystemExit):  # with 0, which the manifest proves
                    create.func(create)
            yield {
                **{key: value for key, value in vars(options).items() if key != 'func'},
                'restart_codes': get_restart_exit_codes(options),
                'hosts': system.vms_per_slice * options.num_slices,
                'topology': system.topology,
            }


@contextlib.contextmanager
def naming(what):
    """Say of which job an error is."""
    try:
        yield
    except (Exception, SystemExit) as error:
        print(f'{what}: {type(error).__name__}: {error}', file=sys.stderr)
        sys.exit(1)


def main():
    socket.socket.connect = socket.getaddrinfo = refuse
    with contextlib.redirect_stdout(sys.stderr):  # both packages talk
        engine, *where = sys.argv[1:]
        jobs = list(load_skypilot(*where) if engine == 'skypilot' else parse_xpk(*where))
    print(json.dumps(jobs, default=str))


if __name__ == '__main__':
    main()
