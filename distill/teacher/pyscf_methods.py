"""Functionals and basis sets of PySCF by name: what they stand for, and which are refused.

PySCF takes many names that do not mean what they say: exchange without correlation,
functionals without the dispersion that is part of them, valence basis sets without their core
potential. Their labels would be wrong without a word, so they are refused here.
"""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any

from distill.errors import DistillError

# Najibi and Goerigk, J. Comput. Chem. 41, 2562 (2020): wB97X-V with D4 in place of VV10. PySCF 2.14
# still takes wB97X for it, says that this will change, and has an option for the published one.
AS_PUBLISHED: dict[str, tuple[str, str | bool, str]] = {"wb97x-d4": ("wb97x-v", False, "d4:wb97x")}
KIND = re.compile(r"(?:HYB_)?(?:LDA|GGA|MGGA)_(XC|X|C|K)(?:_|$)")
WITH_DISPERSION = re.compile(r"_(?:W?B97X?_?D3?|3C|D)$")
# the usual ones, of which a misspelt name is most likely one
USUAL = (
    "hf r2scan r2scan-d4 r2scan-d3bj b3lyp b3lyp-d3bj b3lyp-d4 pbe pbe-d3bj pbe-d4 pbe0 pbe0-d3bj "
    "pbe0-d4 blyp bp86 tpss tpssh scan m06-2x m06-l cam-b3lyp b97m-v b97m-d3bj b97m-d4 wb97x-v "
    "wb97x-d3bj wb97x-d4 wb97m-v wb97m-d3bj wb97m-d4"
)
FITTING = re.compile(r"(fit|optri|-ri|^sap[-_].*)$")
POPLE = "3-21g 6-31g 6-31g* 6-31g** 6-31+g* 6-31++g** 6-311g** 6-311+g** 6-311++g**"
# Over the square of the nuclear charge, the steepest s function of an all-electron set is at least
# 1.79 (STO-3G), of a set for valence electrons at most 1.5.
STEEP = 1.6
MORE_SETS = " (`pip install basis_set_exchange` brings more sets)"


@dataclass(frozen=True)
class Method:
    """``xc``, ``nlc`` and ``disp`` as PySCF's mean-field objects take them; ``xc`` "hf" for HF."""

    xc: str
    nlc: str | bool
    dispersion: str | None


def find_method(functional: str) -> Method:
    """The method that a name in lower case stands for.

    Raises DistillError with close names for one that PySCF does not know, and for one whose
    labels would not be those of the method.
    """
    from pyscf.scf.dispersion import parse_dft

    if functional.endswith("-3c"):
        raise DistillError(
            f"PySCF does not bring all parts of {functional} (basis set, dispersion, corrections); "
            "choose another method, for example pyscf:r2scan-d4/def2-svp."
        )
    try:
        xc, nlc, dispersion = AS_PUBLISHED.get(functional) or parse_dft(functional)
        if xc != "hf":
            _check_parts(xc, dispersion)
    except (NotImplementedError, KeyError, ValueError) as error:
        raise DistillError(
            f"PySCF has no functional '{functional}'{_like(functional, _functionals(), _known)}"
        ) from error
    if dispersion is not None:
        _check_dispersion(functional, xc, dispersion)
    return Method(xc, nlc, dispersion)


def _check_parts(xc: str, dispersion: str | None) -> None:
    from pyscf.dft import libxc

    (hybrid, *_), parts = libxc.parse_xc(xc)
    numbers = {int(number) for number, _ in parts}
    names = {
        name
        for name, number in libxc.XC_CODES.items()
        if KIND.match(name) and not isinstance(number, str) and int(number) in numbers
    }
    kinds = {match[1] for name in names if (match := KIND.match(name))}
    exchange = hybrid or kinds & {"X", "XC"}
    correlation = kinds & {"C", "XC"}
    if "K" in kinds or not (exchange or correlation):
        raise DistillError(f"'{xc}' is no functional for exchange and correlation.")
    if not (exchange and correlation) and "," not in xc:
        has, lacks = ("exchange", "correlation")[:: 1 if exchange else -1]
        raise DistillError(
            f"'{xc}' is {has} without {lacks}; give both with a comma, as in b88,lyp, or the name "
            "of the whole, as blyp."
        )
    if dispersion is None and any(WITH_DISPERSION.search(name) for name in names):
        raise DistillError(
            f"The dispersion that is part of {xc} is missing in PySCF; choose one with a "
            "correction that it has, as b97-d-d3bj, wb97x-d3bj or wb97x-d4."
        )


def _check_dispersion(functional: str, xc: str, dispersion: str) -> None:
    from pyscf import gto
    from pyscf.scf.dispersion import DISP_VERSIONS, parse_disp

    try:
        from pyscf.dispersion import dftd3, dftd4
    except ImportError as error:
        raise DistillError(
            f"The dispersion of {functional} needs pyscf-dispersion; "
            "`pip install 'mlff-distiller[dft]'`."
        ) from error
    method, kind, three_body = parse_disp(xc, dispersion)
    if kind not in DISP_VERSIONS:
        raise DistillError(
            f"PySCF has no dispersion correction '{kind}' (in {functional}); there are "
            f"{', '.join(DISP_VERSIONS)}."
        )
    pair = gto.M(atom="H 0 0 0; H 0 0 1", basis="sto-3g", verbose=0, parse_arg=False)
    try:
        if kind == "d4":
            dftd4.DFTD4Dispersion(pair, xc=method, atm=three_body)
        else:
            dftd3.DFTD3Dispersion(pair, xc=method, version=kind, atm=three_body)
    except RuntimeError as error:
        raise DistillError(
            f"There are no parameters of the dispersion correction {kind} for {method} "
            f"({error}){_like(functional, _functionals(), _known)}"
        ) from error


def _functionals() -> list[str]:
    from pyscf.dft import libxc

    whole = [name for name in libxc.XC_CODES if "_XC_" in name]
    names = [*libxc.XC_ALIAS, *(name.partition("_XC_")[2] for name in whole)]
    return [*USUAL.split(), *(name.lower().replace("_", "-") for name in names)]


def _known(functional: str) -> bool:
    from pyscf.scf.dispersion import parse_dft

    try:
        xc, _, dispersion = AS_PUBLISHED.get(functional) or parse_dft(functional)
        _check_parts(xc, dispersion)
    except (NotImplementedError, KeyError, ValueError, DistillError):
        return functional == "hf"
    return True


def _like(name: str, names: Iterable[str], good: Callable[[str], bool]) -> str:
    """The end of a sentence: names that are close to the wrong one."""
    close = [
        other for other in get_close_matches(name, dict.fromkeys(names), 8, 0.6) if good(other)
    ]
    if not close:
        return "; check the spelling."
    return f"; did you mean {' or '.join(close[:3])}?"


@dataclass
class Basis:
    """A basis set and the effective core potentials that belong to it."""

    name: str
    _cores: dict[str, Any] = field(default_factory=dict)

    def core(self, symbol: str) -> Any:
        """The core potential of an element as PySCF takes it, None where all electrons are in.

        Raises DistillError for an element that the set has no functions for, and for one of
        which it has valence functions alone and no core potential is known.
        """
        if symbol not in self._cores:
            self._cores[symbol] = self._find_core(symbol)
        return self._cores[symbol]

    def has(self, symbol: str) -> bool:
        """Whether there are functions for an element."""
        return self._functions(symbol) is not None

    def _functions(self, symbol: str) -> Any:
        from pyscf import gto

        try:
            return gto.basis.load(self.name, symbol)
        except (
            Exception
        ):  # PySCF raises RuntimeError, KeyError and others for one that is not there
            return None

    def _find_core(self, symbol: str) -> Any:
        from pyscf import gto
        from pyscf.data.elements import charge

        functions = self._functions(symbol)
        if functions is None:
            raise DistillError(f"the basis set {self.name} has no functions for {symbol}")
        # one potential serves all sets of the def2 family; PySCF has it with some of them
        for source in (self.name, *(["def2-svp"] if "def2" in self.name else [])):
            try:
                potential = gto.basis.load_ecp(source, symbol)
            except Exception:  # as above
                continue
            if potential:
                return potential
        steepest = max(
            (row[0] for shell in functions if shell[0] == 0 for row in shell[1:] if _is_row(row)),
            default=0.0,
        )
        if charge(symbol) > 2 and steepest < STEEP * charge(symbol) ** 2:
            raise DistillError(
                f"the basis set {self.name} describes the valence electrons of {symbol} alone, and "
                "PySCF does not bring the core potential that belongs to it"
            )
        return None


def _is_row(row: Any) -> bool:
    return not isinstance(row, int)  # a shell may have its kappa in front of its rows


def find_basis(name: str) -> Basis:
    """The basis set of that name in lower case; raises DistillError with close names if none is."""
    basis = Basis(name)
    there = [symbol for symbol in ("H", "C", "Na", "I", "Au") if basis.has(symbol)]
    if not there or FITTING.search(name):
        end = _like(name, _basis_sets(), lambda other: Basis(other).has("C"))
        if importlib.util.find_spec("basis_set_exchange") is None:
            end = f"{end[:-1]}{MORE_SETS}{end[-1]}"
        raise DistillError(f"PySCF has no basis set '{name}' for orbitals{end}")
    for symbol in there:
        try:
            basis.core(symbol)
        except DistillError as error:
            sentence = str(error)
            raise DistillError(f"{sentence[0].upper()}{sentence[1:]}; choose another.") from error
    return basis


def _basis_sets() -> list[str]:
    from pyscf import gto

    names = [meta[0].lower() for key, meta in gto.mole.BSE_META.items() if key in gto.basis.ALIAS]
    return [*POPLE.split(), *(name for name in names if not FITTING.search(name))]
