"""axe-core's rules of accessibility, run on the page that a browser shows."""

import os
from pathlib import Path

import pytest

RUN = """
const done = arguments[0];
axe.run(document, { resultTypes: ['violations'] }).then(({ violations }) => done(violations
  .filter((one) => ['serious', 'critical'].includes(one.impact))
  .map((one) => [one.id, one.nodes.map((node) => node.html.slice(0, 120))])));
"""


def findings(browser):
    """List the serious findings; skip where axe-core is not there, but fail where T2JAX_BROWSER is `required`."""
    path = os.environ.get('T2JAX_AXE')
    if not path:
        say = pytest.fail if os.environ.get('T2JAX_BROWSER') == 'required' else pytest.skip
        say('axe-core is not there: set T2JAX_AXE to its axe.min.js (npm install axe-core)')
    browser.execute_script(Path(path).read_text(encoding='utf-8'))
    return browser.execute_async_script(RUN)
