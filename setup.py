"""Packaging. Extras: tpu (Cloud TPU runtime), test (the test suite), interop (other frameworks)."""

from pathlib import Path

from setuptools import find_packages, setup

setup(
    name='t2jax',
    version='0.1.0',
    description='Train-to-Test scaling laws: how big, how long, how many samples',
    long_description=Path('README.md').read_text(encoding='utf-8'),
    long_description_content_type='text/markdown',
    license='Apache-2.0',
    python_requires='>=3.11',
    packages=find_packages(include=['t2jax', 't2jax.*']),
    package_data={'t2jax.plotting': ['assets/*']},  # of the report's page
    install_requires=[
        'jax>=0.10',
        'flax>=0.12',
        'optax>=0.2.5',
        'orbax-checkpoint>=0.11.30',
        'grain>=0.2.10',
        'etils[epath]>=1.10',
        'fsspec>=2024.2',
        'numpy>=2.0',
        'scipy>=1.14',
        'pyarrow>=17',
        'matplotlib>=3.9',
        'tqdm>=4.66',
        'pyyaml>=6',
        'tyro>=0.9',
        'tensorboardX>=2.6',
        # Only functions of t2jax.data that read or train vocabularies import these two.
        'tokenizers>=0.20',
        'sentencepiece>=0.2',
        # Only functions of t2jax.interop import it.
        'safetensors>=0.5',
        # TensorFlow comes with these two; only functions of t2jax.data that read seqio tasks import them.
        'tensorflow-datasets>=4.9.7',
        'importlib_resources>=6',  # which TFDS needs for its own datasets and does not ask for
        'seqio>=0.0.19',
    ],
    extras_require={
        'tpu': ['jax[tpu]>=0.10', 'gcsfs>=2024.2'],
        'test': [
            'pytest>=8',
            'hypothesis>=6.100',
            'ruff>=0.8',
            'selenium>=4.20',  # the report's page in a real browser
            'torch==2.13.0',
            'transformers>=5',
            'lm_eval[hf]>=0.4.13',
        ],
        'interop': ['torch>=2.6', 'lm_eval>=0.4.13'],  # torch reads OpenLM's checkpoints
    },
    entry_points={'console_scripts': ['t2jax = t2jax.cli:main']},
)
