"""What can be asked of an MD run."""

import pytest

from distill.errors import DistillError
from distill.md import MDSettings, Source


def test_the_schedule() -> None:
    settings = MDSettings(
        ps=20.0, timestep=2.0, ensemble="npt", every=0.5, equilibrate=10.0, temperature=310.0
    )
    assert (settings.every_steps, settings.frames, settings.steps) == (250, 40, 10_000)
    assert settings.chunk % settings.every_steps == 0
    phases = settings.phases()
    assert sum(phase.steps for phase in phases) == 15_000
    assert [p.temperature for p in phases] == sorted(p.temperature for p in phases)
    assert phases[-1].temperature == 310.0 and phases[-1].barostat and phases[-1].thermostat
    assert not phases[0].barostat  # heating at constant volume


def test_nve_has_a_thermostat_before_and_none_after() -> None:
    *before, production = MDSettings(ensemble="nve", equilibrate=1.0).phases()
    assert before and all(phase.thermostat for phase in before)
    assert not production.thermostat and not production.barostat


@pytest.mark.parametrize("ps, every, timestep", [(0.3, 0.1, 1.0), (0.7, 0.1, 0.7), (1.0, 0.003, 1)])
def test_frames_are_whole(ps: float, every: float, timestep: float) -> None:
    settings = MDSettings(ps=ps, every=every, timestep=timestep)
    assert settings.frames * settings.every_steps == settings.steps
    assert settings.steps * timestep <= 1000 * ps + 1e-6
    assert (settings.frames + 1) * settings.every_steps * timestep > 1000 * ps - 1e-6


@pytest.mark.parametrize(
    "asked, word",
    [
        ({"ps": 0}, "--ps"),
        ({"ps": float("nan")}, "--ps"),
        ({"ps": 0.05}, "no frame"),
        ({"every": 1e-4}, "less than a step"),
        ({"temperature": -1}, "--temperature"),
        ({"timestep": 20.0}, "--timestep"),
        ({"ensemble": "npat"}, "--ensemble"),
        ({"friction": 0}, "--friction"),
        ({"equilibrate": -1}, "--equilibrate"),
        ({"pressure": float("inf")}, "--pressure"),
        ({"threads": 0}, "threads"),
        ({"hydrogen_mass": -1.0}, "--hydrogen-mass"),
        ({"precision": "float16"}, "--precision"),
    ],
)
def test_what_makes_no_sense_is_refused(asked: dict, word: str) -> None:
    with pytest.raises(DistillError, match=word):
        MDSettings(**asked)


@pytest.mark.parametrize(
    "asked, words",
    [
        ({}, "Name what shall be simulated"),
        ({"molecule": "CCO", "prmtop": "x"}, "exclude each other"),
        ({"complex": "x.pdb"}, "needs --ligand"),
        ({"molecule": "CCO", "ligand": "x.sdf"}, "needs --complex"),
        ({"prmtop": "x"}, "needs --inpcrd"),
        ({"prmtop": "x", "inpcrd": "y"}, "--ml"),
        ({"system": "x", "ml": "LIG"}, "needs --pdb"),
        ({"force_field": ("a.xml",), "pdb": "x", "ml": ""}, "--ml"),
        ({"molecule": "CCO", "solvent": "wine"}, "--solvent"),
        ({"prmtop": "x", "inpcrd": "y", "ml": "LIG", "solvent": "water"}, "brings its solvent"),
        ({"molecule": "CCO", "solvent": "water", "padding": -1.0}, "--padding"),
        ({"molecule": "CCO", "solvent": "water", "salt": -1.0}, "--salt"),
        ({"molecule": "CCO", "salt": 0.15}, "--salt is for water"),
        ({"molecule": "CCO", "solvent": "obc2", "box": "cube"}, "--box is for water"),
        ({"prmtop": "x", "inpcrd": "y", "ml": "LIG", "padding": 8.0}, "--padding is for water"),
        ({"molecule": "CCO", "ml": "LIG"}, "--ml"),
    ],
)
def test_sources(asked: dict, words: str) -> None:
    with pytest.raises(DistillError, match=words):
        Source(**asked)
