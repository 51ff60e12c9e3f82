"""Builds the fused kernel; all else is in pyproject.toml.

The library is plain C++17 with a C interface: it needs neither Python's nor torch's headers, and
one build serves every version of both. Where there is no compiler the package installs without it,
and torch does the work.
"""

import platform
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from setuptools import Extension, setup
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build_ext import build_ext

SOURCES = Path("distill/kernels/csrc")
FLAGS = [
    "-std=c++17", "-O3", "-fno-math-errno", "-fno-trapping-math", "-ffp-contract=fast", "-pthread",
    "-fvisibility=hidden", "-g0", "-Wno-psabi", "-Wno-maybe-uninitialized",
]  # fmt: skip
# the kernel is compiled for each of these, and takes the best that the machine has
ISA_FLAGS = {
    "isa_baseline.cpp": [],
    "isa_avx2.cpp": ["-march=x86-64-v3"],
    "isa_avx512.cpp": ["-march=x86-64-v4", "-mprefer-vector-width=512"],
}
X86 = platform.machine().lower() in ("x86_64", "amd64")


class BuildKernel(build_ext):
    """A shared library in place of an extension module, with flags for each source."""

    def get_ext_filename(self, fullname: str) -> str:
        return str(Path(*fullname.split("."))) + (".dylib" if sys.platform == "darwin" else ".so")

    def build_extension(self, ext: Any) -> None:
        def compiled(source: str) -> list[str]:
            flags = FLAGS + ISA_FLAGS.get(Path(source).name, [])
            found: list[str] = self.compiler.compile(
                [source], output_dir=self.build_temp, extra_postargs=flags, depends=ext.depends
            )
            return found

        with ThreadPoolExecutor() as pool:
            objects = [name for names in pool.map(compiled, ext.sources) for name in names]
        target = self.get_ext_fullpath(ext.name)
        Path(target).parent.mkdir(parents=True, exist_ok=True)
        # C++ is told to the linker by this argument
        self.compiler.link_shared_object(
            objects, target, libraries=["dl"] if sys.platform == "linux" else [],
            extra_postargs=["-pthread"], target_lang="c++",
        )  # fmt: skip


class OneForAllPythons(bdist_wheel):
    """The wheel depends on the machine, not on the version of Python."""

    def finalize_options(self) -> None:
        super().finalize_options()
        self.root_is_pure = False

    def get_tag(self) -> tuple[str, str, str]:
        return "py3", "none", super().get_tag()[2]


def sources() -> list[str]:
    """All C++ sources that this machine's compiler can take."""
    found = sorted(str(path) for path in SOURCES.glob("*.cpp"))
    return [s for s in found if X86 or Path(s).name not in ("isa_avx2.cpp", "isa_avx512.cpp")]


setup(
    ext_modules=[
        Extension(
            "distill.kernels.libdistill",
            sources(),
            depends=sorted(str(path) for path in SOURCES.glob("*.h")),
            optional=True,
        )
    ],
    cmdclass={"build_ext": BuildKernel, "bdist_wheel": OneForAllPythons},
)
