"""Builds a wheel with libsockeye.so in it: the one SOCKEYE_LIBRARY names, else the source tree's, built by cargo."""

import os
import re
import shutil
import subprocess
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

try:
    from setuptools.command.bdist_wheel import bdist_wheel
except ImportError:  # before setuptools 70.1
    from wheel.bdist_wheel import bdist_wheel

HERE = Path(__file__).resolve().parent
TREE = HERE.parent


def library():
    """The library's file."""
    named = os.environ.get("SOCKEYE_LIBRARY")
    if named:
        return Path(named)
    if not (TREE / "build.rs").exists():
        raise SystemExit("the library's sources are not here: name a built libsockeye.so in SOCKEYE_LIBRARY")
    subprocess.run([os.environ.get("CARGO", "cargo"), "build", "--release"], cwd=TREE, check=True)
    return TREE / os.environ.get("CARGO_TARGET_DIR", "target") / "release/libsockeye.so"


def version():
    """The library's version."""
    return re.search(r'^version = "(.*)"', (TREE / "Cargo.toml").read_text(), re.M).group(1)


class WithLibrary(build_py):
    """Puts the library into the package."""

    def run(self):
        super().run()
        if not getattr(self, "editable_mode", False):  # an editable one finds the source tree's
            shutil.copyfile(library(), Path(self.build_lib, "sockeye/libsockeye.so"))


class ForPlatform(bdist_wheel):
    """For any Python 3, on this machine's kind of platform."""

    def finalize_options(self):
        super().finalize_options()
        self.root_is_pure = False

    def get_tag(self):
        return "py3", "none", super().get_tag()[2]


setup(version=version(), cmdclass={"build_py": WithLibrary, "bdist_wheel": ForPlatform})
