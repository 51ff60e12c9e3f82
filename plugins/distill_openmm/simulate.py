"""MD of a ``Prepared``: minimization, heating, equilibration and production, also after a stop."""

import json
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import openmm
from numpy.typing import NDArray
from openmm import app

from distill import kernels
from distill.data.student_md import bonded_pairs, intact
from distill.errors import DistillError
from distill.kernels import KernelStudent
from distill.md.settings import MDSettings, Phase
from distill.stop import ctrl_c_later
from distill.student import Student
from distill.student.latent import Alarm, rms
from distill.whole import disk_errors, sweep, whole_file
from distill_openmm.contexts import Contexts, Moment, look, seed_of
from distill_openmm.frames import COLUMNS, Frames
from distill_openmm.groups import BOLTZMANN, groups
from distill_openmm.keep import DAMAGED
from distill_openmm.minimize import minimized
from distill_openmm.prepared import Prepared
from distill_openmm.wrap import Wrap

CHECKPOINT = "checkpoint.npz"
AT_ONCE = 0.3
"""Seconds of stepping between two looks at Ctrl-C and the clock."""
MASS = 1.66053906660e-3
"""Da/nm^3 in g/cm^3."""

Array = NDArray[np.float64]


@dataclass(eq=False)
class Progress:
    """What a run tells while it goes: ``say`` a line, ``advance`` phase, share of all, ns/day."""

    say: Callable[[str], None] = lambda text: None
    advance: Callable[[str, float, float], None] = lambda phase, share, speed: None


@dataclass(eq=False)
class Kept:
    """What a checkpoint holds beside the moment: the files' sizes; seconds and steps of production;
    geometries looked at, and those unlike the training set; broke_up, a sentence, where the
    molecule came apart; ended, where there are no numbers any more."""

    sizes: tuple[int, int, int] | None = None
    seconds: float = 0.0
    stepped: int = 0
    looked: int = 0
    strange: int = 0
    atoms: dict[str, int] = field(default_factory=dict)
    broke_up: str = ""
    ended: bool = False


class Simulation:
    """One MD run in a folder.

    ``run`` makes or goes on with trajectory.dcd, md.csv, topology.pdb and checkpoint.npz there, and
    returns what was done. A run that was stopped goes on in every bit as it would have done, with
    one thread; see :mod:`distill_openmm.contexts`. Its last, partial chunk is done again then.
    """

    def __init__(
        self, student: Student, prepared: Prepared, settings: MDSettings, out: Path,
        progress: Progress | None = None,
    ) -> None:  # fmt: skip
        self.settings, self.prepared, self.out = settings, prepared, out
        self.progress = progress or Progress()
        self.contexts = Contexts(student, prepared, settings)
        system = self.contexts.system
        count = system.getNumParticles()
        chosen = set(prepared.atoms)
        rest = [k for k in range(count) if k not in chosen]
        self.everyone, self.ligand, self.rest = groups(system, range(count), prepared.atoms, rest)
        self.mass = float(self.everyone.masses.sum())
        elements = [atom.element for atom in prepared.topology.atoms()]
        self.numbers = np.array([elements[k].atomic_number for k in prepared.atoms])
        self.watch = Watch(student, self.numbers) if self._whole() else None
        self.wrap = None if prepared.box is None else Wrap(molecules(system), prepared.atoms)
        # alone in vacuum nothing else says where the molecule is, and a thermostat lets it drift
        self.centre = None
        if prepared.system is None and prepared.box is None:
            self.centre = self.everyone.centre(0.1 * np.asarray(prepared.positions))
        self.bonds = bonded_pairs(self.numbers, np.asarray(prepared.positions)[prepared.atoms])

    def _whole(self) -> bool:
        """Whether no bond is cut between the student's atoms and others."""
        chosen = set(self.prepared.atoms)
        return all(
            (b.atom1.index in chosen) == (b.atom2.index in chosen)
            for b in self.prepared.topology.bonds()
        )

    # -- the whole run -----------------------------------------------------------------------------
    def run(
        self, minutes: float | None = None, spent: Callable[[float], None] = lambda share: None
    ) -> dict[str, Any]:
        """Up to the end of production, or for so many minutes; what was done, as md.json has it.

        spent: told which part of the minutes has passed.
        """
        with disk_errors(self.out / "trajectory.dcd"):
            return self._run(minutes, spent)

    def _run(self, minutes: float | None, spent: Callable[[float], None]) -> dict[str, Any]:
        settings = self.settings
        moment, kept = self.load()
        started = time.monotonic()

        def over() -> bool:
            if minutes is None:
                return False
            share = (time.monotonic() - started) / max(1e-9, 60.0 * minutes)
            spent(share)
            return share >= 1.0

        phases = settings.phases()
        before = sum(phase.steps for phase in phases[:-1])
        if moment is None:
            moment = self.start()
            self.save(moment, kept)
        else:
            self.say_where(moment.step - before)
            if not (self.out / "topology.pdb").is_file():
                self.write_topology(moment.positions, moment.box)
        total = before + phases[-1].steps
        end = 0
        for phase in phases[:-1]:
            begin, end = end, end + phase.steps
            while moment.step < end and not kept.ended:
                steps = min(settings.chunk - (moment.step - begin) % settings.chunk,
                            end - moment.step)  # fmt: skip
                moment = self.quiet(moment, phase, steps, kept, total)
                self.save(moment, kept)
        if self.watch is not None:
            self.watch.restore(kept)
        with Frames(
            self.out, self.prepared.topology, self.columns(), settings.timestep,
            settings.every_steps, kept.sizes,
        ) as frames:  # fmt: skip
            while moment.step < total and not kept.ended and not over():
                done = moment.step - before
                steps = min(settings.chunk - done % settings.chunk, total - moment.step)
                moment = self.produce(moment, phases[-1], steps, frames, kept, before, total, over)
                kept.sizes = frames.sizes()
                if (moment.step - before) % settings.chunk == 0 and not kept.ended:
                    self.save(moment, kept)
        return self.results(max(0, moment.step - before), kept)

    def say_where(self, steps: int) -> None:
        """From where it goes on: so many steps after the production's start."""
        done = f"{0.001 * steps * self.settings.timestep:g} ps of production"
        self.progress.say(f"Going on from {done if steps >= 0 else 'the equilibration'}.")

    def quiet(self, moment: Moment, phase: Phase, steps: int, kept: Kept, total: int) -> Moment:
        """Steps of which nothing is kept."""
        context, integrator = self.contexts.make(moment, phase)
        try:
            self.step(integrator, steps, lambda n: self.tell(phase, moment.step + n, total, kept))
            after, _ = look(context, moment.step + steps, moment.box is not None)
        except (openmm.OpenMMException, ValueError, DistillError) as error:
            broken(error, kept, moment.step)
            return moment
        if not np.isfinite(after.positions).all():
            broken(None, kept, moment.step)
            return moment
        return after

    def produce(
        self, moment: Moment, phase: Phase, steps: int, frames: Frames, kept: Kept, before: int,
        total: int, over: Callable[[], bool],
    ) -> Moment:  # fmt: skip
        """A chunk of production, frame by frame."""
        context, integrator = self.contexts.make(moment, phase)
        if self.watch is not None:
            self.watch.forget()
        periodic = moment.box is not None
        begin = time.monotonic()
        for _ in range(steps // self.settings.every_steps):
            at = moment.step

            def tell(steps: int, at: int = at) -> None:
                self.tell(phase, at + steps, total, kept)

            try:
                self.step(integrator, self.settings.every_steps, tell)
                after, state = look(
                    context, moment.step + self.settings.every_steps, periodic, energy=True
                )
                self.write(frames, after, state, before)
            except (openmm.OpenMMException, ValueError, DistillError) as error:
                broken(error, kept, moment.step - before)
                break
            moment = after
            now = time.monotonic()
            kept.seconds, begin = kept.seconds + now - begin, now
            kept.stepped += self.settings.every_steps
            if not kept.broke_up and not self.holds(moment):
                kept.broke_up = (
                    f"The molecule came apart within {moment.step - before:,} steps of MD: a bond "
                    "is twice as long as it should be, or atoms are on top of each other. Where "
                    "that is no chemistry, take a shorter time step or a lower temperature, or "
                    "train the student further."
                )
            if over():
                break
        if self.watch is not None:
            self.watch.note(kept)
        return moment

    def step(self, integrator: openmm.Integrator, steps: int, tell: Callable[[int], None]) -> None:
        """So many steps; Ctrl-C is heard between slices of them."""
        done, slice_ = 0, 1
        while done < steps:
            now = min(slice_, steps - done)
            begin = time.monotonic()
            with ctrl_c_later():
                integrator.step(now)
            seconds = time.monotonic() - begin
            slice_ = max(1, min(10 * now, int(now * AT_ONCE / max(seconds, 1e-6))))
            done += now
            tell(done)

    # -- its parts ---------------------------------------------------------------------------------
    def start(self) -> Moment:
        """Minimized, with velocities; topology.pdb is written."""
        prepared, settings = self.prepared, self.settings
        box = None if prepared.box is None else 0.1 * np.asarray(prepared.box)
        self.progress.say("Minimization.")

        def tell(text: str, log: bool) -> None:
            self.progress.advance(text, 0.0, 0.0)
            if log:
                self.progress.say(f"{text}.")

        x = 0.1 * np.asarray(prepared.positions)
        x = minimized(self.contexts, x, box, self.numbers, tell)
        self.write_topology(x, box)
        first = settings.phases()[0]
        moment = Moment(0, x, np.zeros_like(x), box)
        context, _ = self.contexts.make(moment, first)
        context.setVelocitiesToTemperature(first.temperature, seed_of(settings.seed, 0, 3))
        return look(context, 0, box is not None)[0]

    def write_topology(self, positions: Array, box: Array | None) -> None:
        """topology.pdb."""
        shown = 10.0 * self.shown(positions, box)
        with whole_file(self.out / "topology.pdb") as place_, place_.open("w") as file:
            app.PDBFile.writeFile(self.prepared.topology, shown, file, keepIds=True)

    def of_student(self, moment: Moment) -> Array:
        """Positions in Å of the student's atoms."""
        return 10.0 * moment.positions[self.prepared.atoms]

    def holds(self, moment: Moment) -> bool:
        """Whether the bonds among the student's atoms are still there."""
        return intact(self.numbers, self.of_student(moment), self.bonds)

    def write(self, frames: Frames, moment: Moment, state: Any, before: int) -> None:
        """One frame and its row."""
        row: dict[str, Any] = {
            "step": moment.step - before,
            "time_ps": 0.001 * (moment.step - before) * self.settings.timestep,
            "potential_kj_per_mol": state.getPotentialEnergy()._value,
            "kinetic_kj_per_mol": state.getKineticEnergy()._value,
            **self.temperatures(moment, state.getKineticEnergy()._value),
        }
        x = moment.positions
        if not np.isfinite(x).all() or not np.isfinite(row["potential_kj_per_mol"]):
            raise ValueError("positions or energies are NaN")
        if moment.box is not None:
            volume = float(np.linalg.det(moment.box))
            row["volume_nm3"], row["density_g_per_cm3"] = volume, MASS * self.mass / volume
        if self.watch is not None:
            error, strange = self.watch(self.of_student(moment))
            row["uncertainty_ev_per_angstrom"], row["unlike_training"] = error, strange
        frames.write(self.shown(x, moment.box), moment.box, row)

    def temperatures(self, moment: Moment, kinetic: float) -> dict[str, float | None]:
        """In K, of all, of the student's atoms and of the rest.

        kinetic: kJ/mol, of all. Verlet's velocities are half a step behind the positions, and
        OpenMM knows what that means for the kinetic energy; the groups' are taken to the same.
        """
        everyone = self.everyone.temperature(moment.velocities)
        on_time = 1.0
        if everyone:
            on_time = 2.0 * kinetic / (self.everyone.freedom * BOLTZMANN) / everyone
        found = {}
        for name, group in (
            ("temperature_k", self.everyone),
            ("ligand_temperature_k", self.ligand),
            ("rest_temperature_k", self.rest),
        ):
            value = group.temperature(moment.velocities)
            found[name] = None if value is None else on_time * value
        return found

    def shown(self, positions: Array, box: Array | None) -> Array:
        """Positions to be written: of the topology's atoms, without link atoms; in a box around the
        student's; of a molecule alone with the centre of mass where it was given."""
        if box is not None and self.wrap is not None:
            positions = self.wrap(positions, box)
        if self.centre is not None:
            positions = positions + (self.centre - self.everyone.centre(positions))
        return positions[: self.prepared.topology.getNumAtoms()]

    def columns(self) -> list[str]:
        """Those of md.csv that say something of this run."""
        silent: set[str] = set()
        if not len(self.rest.atoms):
            silent |= {"ligand_temperature_k", "rest_temperature_k"}
        if self.prepared.box is None:
            silent |= {"volume_nm3", "density_g_per_cm3"}
        if self.watch is None or self.watch.alarm is None:
            silent |= {"uncertainty_ev_per_angstrom", "unlike_training"}
        return [name for name in COLUMNS if name not in silent]

    def tell(self, phase: Phase, step: int, total: int, kept: Kept) -> None:
        """The progress."""
        speed = ns_per_day(kept.stepped, self.settings.timestep, kept.seconds)
        self.progress.advance(phase.name, step / total, speed)

    # -- checkpoints -------------------------------------------------------------------------------
    def save(self, moment: Moment, kept: Kept) -> None:
        """checkpoint.npz, whole or not at all."""
        with whole_file(self.out / CHECKPOINT) as place_:
            box = np.zeros((0, 3)) if moment.box is None else moment.box
            np.savez(
                place_, step=moment.step, positions=moment.positions,
                velocities=moment.velocities, box=box, kept=json.dumps(vars(kept)),
            )  # fmt: skip

    def load(self) -> tuple[Moment | None, Kept]:
        """The last checkpoint, or nothing yet."""
        path = self.out / CHECKPOINT
        for name in (CHECKPOINT, "topology.pdb"):
            sweep(self.out / name)  # what a kill left
        if not path.is_file():
            return None, Kept()
        try:
            with np.load(path, allow_pickle=False) as file:
                box = file["box"] if len(file["box"]) else None
                moment = Moment(int(file["step"]), file["positions"], file["velocities"], box)
                kept = Kept(**json.loads(str(file["kept"])))
        except DAMAGED as error:
            raise DistillError(
                f"{path} is damaged ({error}); give another -o, which starts anew."
            ) from error
        if kept.sizes is not None:
            kept.sizes = (kept.sizes[0], kept.sizes[1], kept.sizes[2])
            for name, size in zip(("trajectory.dcd", "md.csv"), kept.sizes[1:]):
                file_ = self.out / name
                if not file_.is_file() or file_.stat().st_size < size:
                    raise DistillError(
                        f"{file_} is shorter than at the last checkpoint; give another -o, which "
                        "starts anew."
                    )
        return moment, kept

    # -- results -----------------------------------------------------------------------------------
    def results(self, steps: int, kept: Kept) -> dict[str, Any]:
        """What md.json says."""
        settings = self.settings
        found: dict[str, Any] = {
            "engine": f"OpenMM {openmm.version.version}",
            "platform": self.contexts.platform.getName(),
            "threads": settings.threads,
            "ensemble": settings.ensemble,
            "atoms": self.contexts.system.getNumParticles(),
            "student_atoms": len(self.prepared.atoms),
            "student_indices": list(self.prepared.atoms),
            "temperature_k": settings.temperature,
            "timestep_fs": settings.timestep,
            "steps": steps,
            "picoseconds": 0.001 * steps * settings.timestep,
            "ms_per_step": 1000.0 * kept.seconds / max(1, kept.stepped),
            "ns_per_day": ns_per_day(kept.stepped, settings.timestep, kept.seconds),
        }
        if self.watch is not None:
            self.watch.note(kept)
            found |= {
                "frames_unlike_training": kept.strange,
                "atoms_unlike_training": dict(Counter(kept.atoms).most_common(5)),
            }
        if kept.broke_up:
            found |= {"broke_up": kept.broke_up, "ended": kept.ended}
        return found


class Watch:
    """Looks at frames of MD for atoms that are unlike all that the student has learned."""

    def __init__(self, student: Student, numbers: NDArray[np.int64]):
        self.alarm = None
        if student.latent is not None and kernels.available():
            self.alarm = Alarm(student.latent)
            self.kernel = KernelStudent(student)
        self.numbers = numbers

    def __call__(self, positions: Array) -> tuple[float | None, int | None]:
        """Of one frame (N, 3) in Å: the force error to be expected (eV/Å), and how many atoms are
        unlike the training set; None where the student cannot tell."""
        if self.alarm is None:
            return None, None
        self.kernel.forget()
        distances = self.kernel.evaluate(positions, self.numbers).distances
        strange = self.alarm.look(distances, self.numbers, positions)
        return rms(self.alarm.latent.errors(distances)), len(strange)

    def forget(self) -> None:
        """The next frame is looked at as the first one is."""
        if self.alarm is not None:
            self.alarm.forget()

    def restore(self, kept: Kept) -> None:
        """Counts go on from a checkpoint's."""
        if self.alarm is not None:
            self.alarm.looked, self.alarm.strange = kept.looked, kept.strange
            self.alarm.atoms = Counter(kept.atoms)

    def note(self, kept: Kept) -> None:
        """Counts for the next checkpoint."""
        if self.alarm is not None:
            kept.looked, kept.strange = self.alarm.looked, self.alarm.strange
            kept.atoms = dict(self.alarm.atoms)


def molecules(system: openmm.System) -> Sequence[Sequence[int]]:
    """Particles that bonds, constraints and virtual sites hold together, as OpenMM has them."""
    context = openmm.Context(
        system, openmm.VerletIntegrator(0.001), openmm.Platform.getPlatform("Reference")
    )
    found: Sequence[Sequence[int]] = context.getMolecules()
    return found


def broken(error: Exception | None, kept: Kept, steps: int) -> None:
    """Notes that coordinates are no numbers any more; other errors are raised."""
    text = str(error).lower()
    if "periodic box" in text and "cutoff" in text:
        raise DistillError(
            f"The box shrank below twice the cutoff after {steps:,} steps; give a larger box "
            "(--padding), a shorter --cutoff, or --ensemble nvt."
        ) from error
    lost = ("nan", "infinite", "not finite", "has flown away")
    if error is not None and not any(word in text for word in lost):
        raise error
    kept.ended = True
    kept.broke_up = (
        f"The MD ended after {steps:,} steps: coordinates or energies are no numbers any more. "
        "Take a shorter time step or a lower temperature, or train the student further."
    )


def ns_per_day(steps: int, timestep: float, seconds: float) -> float:
    """Of so many steps of fs in so many seconds; 0 before the first."""
    return steps * timestep * 1e-6 / (seconds / 86400.0) if seconds > 0 else 0.0
