"""The gcloud command, run as a list of arguments, never through a shell, and its refusals as one sentence each.

Every call that changes something is printed before it runs, as a line that a person can paste. A dry run prints and
runs none of them. Every call has a time limit: a gcloud that hangs is killed and counts as having failed.
"""

import contextlib
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from typing import Any

NAME = re.compile(r'[a-z]([-a-z0-9]{0,58}[a-z0-9])?')
ZONE = re.compile(r'[a-z]+(-[a-z]+)+\d+-[a-z]')
COMMIT = re.compile(r'[0-9a-f]{7,40}')
ADDRESS = re.compile(r'gs://[a-z0-9][-._a-z0-9]{1,220}[a-z0-9](/[-\w.@+=]+)*')

# What gcloud says, and what a person does about it; the first that is found counts.
_ON_QUOTA = r'[Qq]uota'
_QUOTA = 'ask for quota (console: IAM, Quotas, Cloud TPU API), or name another zone or kind'
_TYPES = 'choose one of `gcloud compute tpus accelerator-types list --zone=ZONE`'
_ADVICE = {
    r'problem refreshing|Reauthentication': 'log in again: gcloud auth login',
    r'not currently have an active account': 'log in: gcloud auth login',
    r'\[core/project\]|project \[[^]]*\] not found|[Pp]roject .*not exist': 'name a project: --project=ID',
    r'SERVICE_DISABLED|has not been used in project': 'enable it: gcloud services enable tpu.googleapis.com',
    r"locations/[^']*' \(or it may not exist\)|(Z|z|L|l)(one|ocation) .*not found": 'choose a zone of '
    '`gcloud compute tpus locations list`',
    r'[Aa]ccelerator ?[Tt]ype.*(not found|not exist|invalid)|[Ii]nvalid accelerator': _TYPES,
    _ON_QUOTA: _QUOTA,
    r'PERMISSION_DENIED|not have .* access|\b403\b': 'ask for the role that is missing (launch/README.md lists them)',
    r'bucket.*not exist|BucketNotFound|gs://[^/\s]+ not found': 'make the bucket: gcloud storage buckets create',
}


class GcloudError(Exception):
    """gcloud refused, failed or hung; the message is one sentence."""

    def __init__(self, sentence: str, said: str = '') -> None:
        super().__init__(sentence)
        self.said = said  # all of stderr

    def lacks(self, name: str) -> bool:
        """Tell whether it says that `name` is not there, and not something else: a file, a proxy, a project."""
        found = re.search(r'NOT_FOUND|\b404\b|not found|matched no objects|No URLs matched', self.said)
        return bool(found) and name in self.said

    @property
    def lost(self) -> bool:
        """Whether another had written the object since it was read."""
        return bool(re.search(r'\b412\b|[Pp]recondition', self.said))

    @property
    def exists(self) -> bool:
        """Whether what was to be made is there already."""
        return bool(re.search(r'ALREADY_EXISTS|already exists', self.said))

    @property
    def hopeless(self) -> bool:
        """Whether asking again would change nothing: it is for a person to mend."""
        return bool(re.search('|'.join(_ADVICE.keys() - {_ON_QUOTA}), self.said))

    @property
    def refused(self) -> bool:
        """Whether asking again at once would change nothing: as hopeless, or there is no quota or capacity now."""
        return self.hopeless or bool(re.search(f'{_ON_QUOTA}|RESOURCE_EXHAUSTED|INVALID_ARGUMENT|capacity', self.said))


class Gcloud:
    """Runs gcloud for one project, or the one that gcloud is set to."""

    def __init__(
        self,
        project: str | None = None,
        dry_run: bool = False,
        say: Callable[[str], None] | None = None,
        patience: float = 120.0,  # seconds that a call may take unless it says otherwise
    ) -> None:
        self.project, self.dry_run, self.patience = project, dry_run, patience
        self.say = say or say_to_person

    def line(self, *arguments: str) -> list[str]:
        """Return the whole command."""
        return ['gcloud', *arguments, *([f'--project={self.project}'] if self.project else []), '--quiet']

    def change(
        self, *arguments: str, timeout: float | None = None, feed: bytes | None = None, quiet: bool = False
    ) -> str:
        """Print a command that changes something, and run it unless this is a dry run; return what it printed.

        Raises GcloudError.
        """
        if not quiet or self.dry_run:
            self.say(shlex.join(self.line(*arguments)))
        return '' if self.dry_run else self.ask(*arguments, timeout=timeout, feed=feed)

    def ask(self, *arguments: str, timeout: float | None = None, feed: bytes | None = None) -> str:
        """Run a command and return what it printed; raises GcloudError."""
        return run(self.line(*arguments), timeout or self.patience, feed).decode('utf-8', 'replace')

    def ask_json(self, *arguments: str, timeout: float | None = None) -> Any:
        """Run a command for JSON; raises GcloudError, also for what is none."""
        said = self.ask(*arguments, '--format=json', timeout=timeout)
        try:
            return json.loads(said)
        except json.JSONDecodeError as error:
            raise GcloudError(
                f'gcloud {" ".join(arguments[:4])} printed {said[:60]!r}, which is no JSON; try again, or update gcloud'
            ) from error


def say_to_person(line: str) -> None:
    """Write a line to stderr; where that is closed, nobody reads it, and work goes on."""
    with contextlib.suppress(OSError):
        print(line, file=sys.stderr, flush=True)


def find_project(gcloud: Gcloud) -> str:
    """Return the project that commands are about; raises GcloudError where gcloud is logged out or has none."""
    check_logged_in(gcloud)
    return gcloud.project or gcloud.ask('config', 'get', 'project').strip()


def run(command: Sequence[str], timeout: float, feed: bytes | None = None) -> bytes:
    """Run a command in a process group of its own, which a time limit or an interrupt ends whole; return its output.

    Raises GcloudError where it fails or takes longer than `timeout` seconds.
    """
    what = shlex.join(command[:5])
    if not shutil.which(command[0]):
        raise GcloudError(f'there is no {command[0]} on the PATH; install the Google Cloud CLI', 'no gcloud')
    source = subprocess.DEVNULL if feed is None else subprocess.PIPE
    with subprocess.Popen(
        command, stdin=source, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
    ) as process:
        try:
            out, err = process.communicate(feed, timeout=timeout)
        except subprocess.TimeoutExpired as error:
            raise GcloudError(f'{what} did not end within {timeout:g} s; it was stopped') from error
        finally:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                if process.poll() is None:
                    os.killpg(process.pid, signal.SIGKILL)
    if process.returncode:
        said = err.decode('utf-8', 'replace').strip()
        raise GcloudError(explain(what, said, process.returncode), said)
    return out


def explain(what: str, said: str, code: int) -> str:
    """Return one sentence for a refusal: what was run, what gcloud said, what to do."""
    lines = [line for line in said.splitlines() if line.strip()]
    errors = [line for line in lines if 'ERROR' in line] or lines[-1:] or [f'exit code {code}']
    reason = re.sub(r'^ERROR: (\([\w.-]+\) )?', '', errors[-1].strip())[:300].rstrip('. ')
    advice = next((advice for pattern, advice in _ADVICE.items() if re.search(pattern, said)), None)
    return f'{what} failed: {reason}' + (f'; {advice}' if advice else '')


def check_logged_in(gcloud: Gcloud) -> None:
    """Raise GcloudError where gcloud is not there, has no account or no project."""
    if not gcloud.ask('auth', 'list', '--filter=status:ACTIVE', '--format=value(account)').strip():
        raise GcloudError('gcloud is not logged in; log in: gcloud auth login')
    if not gcloud.project and not gcloud.ask('config', 'get', 'project').strip():
        raise GcloudError('gcloud has no project; name one: --project ID')


def check_name(name: str, pattern: re.Pattern[str], what: str, example: str) -> str:
    """Return a name as it is; raises ValueError for one that is none, shell metacharacters above all."""
    if not pattern.fullmatch(name):
        raise ValueError(f'{name!r} is no {what}; write it like {example}')
    return name
