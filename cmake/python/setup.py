"""For the wheel that carries the library: nothing is compiled, but it is for one kind of machine, CLOUDS_PLATFORM."""
import os

from setuptools import Distribution, setup
from wheel.bdist_wheel import bdist_wheel


class Carrying(Distribution):
    def has_ext_modules(self):
        return True


class Wheel(bdist_wheel):
    def get_tag(self):
        return "py3", "none", os.environ["CLOUDS_PLATFORM"]


setup(distclass=Carrying, cmdclass={"bdist_wheel": Wheel})
