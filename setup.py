"""The installable part of the project: the package `ofer_jax` and the console command `ofer`.

`configs`, `data_pipelines`, `launch` and `tests` run from a checkout and are not installed.
"""

from pathlib import Path

from setuptools import find_packages, setup

# What a reconstruction and a training step need (no TensorFlow, no PyTorch).
RUNTIME = [
    "jax>=0.10.2,<0.13",
    "flax",
    "optax",
    "orbax-checkpoint>=0.12.8,<1",
    "jaxtyping",
    "numpy>=2.2",
    "scipy",
    "Pillow",
    "flatbuffers",  # jax.export writes with it
    "safetensors",
    "trimesh",
    "tqdm",
    "tensorboardX",
    "absl-py",
    "ml-collections",
]
EXTRAS = {
    # tfds 4.9.10 forgets to ask for importlib_resources.
    "data": ["tensorflow-datasets>=4.9.10", "importlib_resources", "grain", "array-record"],
    "test": ["onnx", "pyrefly", "pytest", "pytest-xdist", "pyyaml", "ruff"],
    # Prepares data sets on a cluster; it moves other packages back: see requirements-beam.lock.
    "beam": ["apache-beam>=2.77"],
    # Draws the curves and bars of benchmarks and evaluations.
    "plots": ["matplotlib"],
    # What the benchmark compares with; nothing else needs it.
    "torch": ["torch>=2.6"],
    # Reads insightface's glintr100.onnx.
    "onnx": ["onnx>=1.20"],
    # Rebuilds the embedded assets (data_pipelines/openhead) from their named packages.
    "build": ["matplotlib", "scikit-image", "tflite"],
    # Its models are non-commercial and fetched at first use; never part of the default install.
    "insightface": ["insightface>=2.1"],
    "cuda12": ["jax[cuda12]>=0.10.2,<0.13"],
    "tpu": ["jax[tpu]>=0.10.2,<0.13"],
}

setup(
    name="ofer-jax",
    version="0.1.0",
    description="From a photograph, perhaps half hidden, to a ranked set of 3D faces, in JAX",
    long_description=Path(__file__).with_name("README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    license_files=["LICENSE", "NOTICE", "ofer_jax/openhead/NOTICE"],
    python_requires=">=3.11",
    packages=find_packages(include=["ofer_jax", "ofer_jax.*"]),
    package_data={"ofer_jax.openhead": ["*.npz", "NOTICE", "bundle/*"]},
    install_requires=RUNTIME,
    extras_require=EXTRAS,
    entry_points={"console_scripts": ["ofer = ofer_jax.cli:main"]},
)
