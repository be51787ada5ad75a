"""A real browser for the report's page: headless Chromium, driven by selenium."""

import os
import shutil

import pytest

# what would look for a network, a graphics card or a large /dev/shm
OFF = ('background-networking', 'component-update', 'sync', 'gpu', 'quic', 'default-apps', 'dev-shm-usage')


@pytest.fixture(scope='session')
def browser(tmp_path_factory):
    """Start Chromium once; skip where it is not installed, but fail where T2JAX_BROWSER is `required`, as in CI."""
    programs = [shutil.which(name) for name in ('chromium', 'chromedriver')]
    if None in programs:
        say = pytest.fail if os.environ.get('T2JAX_BROWSER') == 'required' else pytest.skip
        say("chromium and chromedriver are not installed; they are Debian's packages chromium and chromium-driver")
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = programs[0]
    options.set_capability('goog:loggingPrefs', {'browser': 'ALL'})
    for flag in ('headless=new', 'no-sandbox', 'no-first-run', *map('disable-{}'.format, OFF)):
        options.add_argument(f'--{flag}')
    options.add_argument(f'--user-data-dir={tmp_path_factory.mktemp("chromium")}')
    driver = webdriver.Chrome(options, webdriver.ChromeService(programs[1]))
    driver.set_script_timeout(120)
    yield driver
    driver.quit()
