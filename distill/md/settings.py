"""What can be asked of an MD run, and its schedule in steps."""

import math
from dataclasses import dataclass, replace

from distill.engine_arguments import check_choice, check_threads, is_number
from distill.errors import DistillError
from distill.train.config import check_seed

ENSEMBLES = ("auto", "nve", "nvt", "npt")
LONGEST_STEP = 5.0
"""fs: nobody means a longer one."""
HEATING = (0.2, 0.4, 0.6, 0.8)
"""Parts of the temperature that a tenth of the equilibration each goes through."""
EARLY_FRICTION = 5.0
"""1/ps, of the equilibration."""
CHUNK = 1000
"""Steps from one checkpoint to the next, about."""


@dataclass(frozen=True)
class Phase:
    """So many steps in one manner. ``barostat`` and ``thermostat`` say which are on."""

    name: str
    steps: int
    temperature: float
    friction: float
    barostat: bool = False
    thermostat: bool = True


@dataclass(frozen=True)
class MDSettings:
    """The settings of an MD run; the same again mean: go on.

    ps: of production, whose frames are kept, one each ``every`` ps. equilibrate: ps before that, at
    the ensemble's temperature and pressure, the first part of it heating up. temperature in K,
    timestep in fs, pressure in bar, friction in 1/ps; hydrogen_mass in Da, None for the elements'
    own. ensemble "auto" is npt in a box and nvt without, see :meth:`within`. platform: OpenMM's
    name, or auto. Raises DistillError for what makes no sense.
    """

    ps: float = 100.0
    temperature: float = 300.0
    timestep: float = 1.0
    ensemble: str = "nvt"
    pressure: float = 1.0
    friction: float = 1.0
    every: float = 0.1
    equilibrate: float = 0.0
    hydrogen_mass: float | None = None
    seed: int = 0
    platform: str = "auto"
    threads: int = 1
    precision: str = "float32"

    def __post_init__(self) -> None:
        check_choice("--ensemble", self.ensemble, ENSEMBLES)
        check_choice("--precision", self.precision, ("float32", "float64"))
        check_threads(self.threads)
        check_seed(self.seed)
        for name, unit in POSITIVE.items():
            given = getattr(self, name)
            if not is_number(given) or not 0 < given < math.inf:
                raise DistillError(f"--{name} is {given} {unit}; give more than 0.")
        if not is_number(self.equilibrate) or not 0 <= self.equilibrate < math.inf:
            raise DistillError(f"--equilibrate is {self.equilibrate} ps; give 0 or more.")
        if not math.isfinite(self.pressure):
            raise DistillError(f"--pressure is {self.pressure} bar; give a number.")
        mass = self.hydrogen_mass
        if mass is not None and not (is_number(mass) and 0.5 <= mass <= 10.0):
            raise DistillError(f"--hydrogen-mass is {mass} Da; give 1.008 to 4.")
        if self.timestep > LONGEST_STEP:
            raise DistillError(
                f"--timestep is {self.timestep:g} fs, and no bond of a student survives steps that "
                "long; 0.5 to 2 fs are usual."
            )
        if self.every_steps < 1:
            raise DistillError(
                f"--every is {self.every:g} ps, less than a step ({self.timestep:g} fs); give more."
            )
        if self.frames < 1:
            raise DistillError(
                f"{self.ps:g} ps hold no frame with one each {self.every:g} ps; give more --ps, or "
                "a smaller --every."
            )

    def within(self, box: bool) -> "MDSettings":
        """The same with an ensemble that is chosen; DistillError for npt without a box."""
        if self.ensemble == "auto":
            return replace(self, ensemble="npt" if box else "nvt")
        if self.ensemble == "npt" and not box:
            raise DistillError("There is no pressure without a box; use --ensemble nvt or nve.")
        return self

    @property
    def every_steps(self) -> int:
        """Steps from one frame to the next."""
        return round(1000.0 * self.every / self.timestep)

    @property
    def steps(self) -> int:
        """Of production: whole frames, as many as fit."""
        return self.frames * self.every_steps

    @property
    def frames(self) -> int:
        """That the run ends with."""
        return math.floor(1000.0 * self.ps / self.timestep / max(1, self.every_steps) + 1e-6)

    @property
    def chunk(self) -> int:
        """Steps from one checkpoint to the next: whole frames."""
        return self.every_steps * max(1, round(CHUNK / self.every_steps))

    def phases(self) -> list[Phase]:
        """Heating, equilibration, production."""
        before = round(1000.0 * self.equilibrate / self.timestep)
        pressure = self.ensemble == "npt"
        heating = before // 10
        found = [
            Phase("Heating", heating, part * self.temperature, EARLY_FRICTION)
            for part in HEATING
            if heating
        ]
        found.append(
            Phase(
                "Equilibration", before - len(found) * heating, self.temperature,
                EARLY_FRICTION, pressure,
            )
        )  # fmt: skip
        thermostat = self.ensemble != "nve"
        found.append(
            Phase(
                "Production", self.steps, self.temperature, self.friction, pressure, thermostat
            )
        )  # fmt: skip
        return [phase for phase in found if phase.steps]


POSITIVE = {"ps": "ps", "temperature": "K", "timestep": "fs", "friction": "1/ps", "every": "ps"}
"""Settings that are above zero, and their units."""
