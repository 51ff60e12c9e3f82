"""The command line: ``distill run``, ``label``, ``train``, ``evaluate``, ``check``, ``md``,
``info``, ``export``, ``quantize``, ``bench``.

Each command reads its arguments and calls one function of the package. What needs torch is
imported inside the commands, so that ``--help`` answers at once.
"""

import logging
import os
import sys
from importlib.metadata import entry_points
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from rich.console import Console
from rich.text import Text
from typer.core import TyperGroup

from distill.arguments import (
    check_new_file,
    check_room,
    check_workers,
    from_root,
    key_values,
    numbers,
    torch_threads,
)
from distill.errors import DistillError
from distill.md.cli import md
from distill.stop import STOPPED, done, leave, listen
from distill.whole import disk_problem, whole_file

AFTER_CTRL_C = {
    "run": "the same command goes on from here.",
    "label": "the same command goes on from here.",
    "md": "the same command goes on from here.",
    "train": "the same command goes on where it was; with --resume, if the folder is there.",
}


class FriendlyGroup(TyperGroup):
    """Turns the errors that users can mend into one sentence and an exit code."""

    told = False

    def invoke(self, ctx: Any) -> Any:
        quieten()
        try:
            return super().invoke(ctx)
        except DistillError as error:
            refuse(str(error))
        except KeyboardInterrupt:
            goes_on = AFTER_CTRL_C.get(
                ctx.invoked_subcommand or "", "the same command starts anew."
            )
            Console(stderr=True).print(f"Stopped; {goes_on}")
            FriendlyGroup.told = True
            raise typer.Exit(STOPPED) from None
        except Exception as error:
            sentence = disk_problem(error)
            if sentence is None:
                raise
            refuse(sentence)


app = typer.Typer(
    cls=FriendlyGroup,
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def main() -> None:
    """The entry point of the program ``distill``; SIGTERM does what Ctrl-C does."""
    listen()
    try:
        app()
    except (SystemExit, KeyboardInterrupt) as error:  # the latter: Ctrl-C, again, on the way out
        code = STOPPED if isinstance(error, KeyboardInterrupt) else error.code
        if code == STOPPED:
            if not FriendlyGroup.told:  # while the command line was read
                print("Stopped; nothing was begun.", file=sys.stderr)
            leave(STOPPED)
        done(code)
        raise


def refuse(sentence: str) -> NoReturn:
    """Prints the sentence in red and ends with exit code 2."""
    Console(stderr=True).print(Text(sentence, style="bold red"), soft_wrap=True)
    raise typer.Exit(2)


def quieten() -> None:
    """Keeps the libraries' chatter off the terminal; their warnings come through."""
    for library in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(f"{library}.utilities.rank_zero").setLevel(logging.WARNING)
    # "No CUDA runtime is found", on every machine without a GPU
    logging.getLogger("torch.utils.cpp_extension").setLevel(logging.ERROR)


def show_version(wanted: bool) -> None:
    """Prints the version and ends."""
    if wanted:
        from distill import __version__

        print(f"distill {__version__}")
        raise typer.Exit


Teacher = Annotated[
    str,
    typer.Option(
        help="Who labels: gfn2-xtb, gfn1-xtb, a model of orb-models by its name (orb-v2, ...), DFT "
        "as pyscf:FUNCTIONAL/BASIS, or any ASE calculator as ase:package.module:Class."
    ),
]
Weights = Annotated[
    Path | None, typer.Option(help="A local state dict for an Orb teacher, not its download.")
]
TeacherOptions = Annotated[
    list[str],
    typer.Option(
        "--teacher-option",
        metavar="KEY=VALUE",
        help="For the teacher; may be repeated. DFT and any ASE calculator take "
        "time-limit=SECONDS, for each geometry; an ASE calculator also periodic-box=Å, "
        "charge={charge} and model=call:package.module:loader (docs/potentials.md).",
    ),
]
Workers = Annotated[
    int | None, typer.Option(help="Processes on this machine.", show_default="one per core")
]
Seed = Annotated[int, typer.Option(help="The same seed makes the same choices.")]
Charge = Annotated[
    int | None,
    typer.Option(
        help="Of coordinates (XYZ, PDB), in e.", show_default="what the file says, else 0"
    ),
]
Spin = Annotated[
    int | None,
    typer.Option(
        help="Multiplicity 2S+1 of coordinates.", show_default="what the file says, else 1"
    ),
]
LargestFragment = Annotated[
    bool, typer.Option("--largest-fragment", help="Of a salt take the largest fragment alone.")
]
SkipBad = Annotated[
    bool, typer.Option("--skip-bad", help="Go on without the molecules that cannot be used.")
]


def molecules_of(
    sources: list[str],
    charge: int | None,
    spin: int | None,
    largest_fragment: bool,
    skip_bad: bool,
) -> list[Any]:
    """The molecules; what was left out and what was chosen for the user goes to the terminal."""
    from distill.data.molecules import read_sources
    from distill.data.read import listed

    skipped: list[str] | None = [] if skip_bad else None
    molecules = read_sources(
        sources, charge=charge, spin=spin, largest_fragment=largest_fragment, skipped=skipped
    )
    told = Console(stderr=True, highlight=False, markup=False, soft_wrap=True)
    if skipped:
        told.print(f"{len(skipped)} left out:\n{listed(skipped)}")
    notes = [note for molecule in molecules for note in molecule.notes]
    if notes:
        told.print(f"Please note:\n{listed(notes)}")
    return molecules


EnergyKey = Annotated[
    str | None,
    typer.Option(
        "--energy-key",
        help="The energy's name in extended XYZ.",
        show_default="energy, REF_energy, ...: that which goes with the forces",
    ),
]
AssistantName = Annotated[
    str,
    typer.Option(
        help="Who learns few labels first, and then teaches the student on geometries that cost "
        "none: auto (the shipped original where labels are few), none, or a student by its name or "
        "file."
    ),
]
ForcesKey = Annotated[
    str | None,
    typer.Option(
        "--forces-key",
        help="The forces' name in extended XYZ.",
        show_default="forces, REF_forces, ...: those which go with the energy",
    ),
]


@app.callback()
def distill(
    version: Annotated[
        bool, typer.Option("--version", callback=show_version, is_eager=True, help="The version.")
    ] = False,
) -> None:
    """Distils an interatomic potential or a quantum-chemical method into a small PaiNN network
    that runs molecular dynamics in OpenMM and ASE.

    Start with `distill run "CCO" -o ethanol`: it makes geometries, has a teacher label them,
    trains a student, checks it and runs MD with it. The other commands are its parts. Units are
    eV and Å. A stopped command goes on where it was when it is given again.
    """


@app.command()
def run(
    source: Annotated[
        str,
        typer.Argument(
            help="A SMILES, or a file (SDF, MOL2, SMI, XYZ, PDB) of one molecule or of a series of "
            "up to 50, or a set: drugs:test:5."
        ),
    ],
    out: Annotated[Path, typer.Option("-o", "--out", help="The folder for all results.")],
    size: Annotated[str, typer.Option(help="original, tiny or ultra-tiny.")] = "tiny",
    budget: Annotated[
        float | None,
        typer.Option(help="Minutes for everything together.", show_default="10"),
    ] = None,
    labels: Annotated[
        int | None,
        typer.Option(
            help="At most so many labels to learn from. Without --budget labelling takes as long "
            "as it takes, and the ten minutes are for the rest.",
            show_default="as many as the budget gives",
        ),
    ] = None,
    assistant: AssistantName = "auto",
    teacher: Teacher = "gfn2-xtb",
    weights: Weights = None,
    teacher_option: TeacherOptions = [],  # noqa: B006  (typer copies it)
    start: Annotated[
        str,
        typer.Option(
            "--from",
            help="What training starts from: auto (the shipped student of that size), random, or "
            "a student by its name or file.",
        ),
    ] = "auto",
    seed: Seed = 0,
    temperature: Annotated[float, typer.Option(help="Of the MD at the end, in K.")] = 300.0,
    md_ps: Annotated[
        float | None,
        typer.Option(
            "--md-ps",
            help="Picoseconds of that MD, however long it takes; more later by `distill md`.",
            show_default="what is left of the budget",
        ),
    ] = None,
    charge: Charge = None,
    spin: Spin = None,
    largest_fragment: LargestFragment = False,
    skip_bad: SkipBad = False,
    workers: Workers = None,
) -> None:
    """From a molecule, or a series of them, to molecular dynamics, in one command.

    One core trains a student while the others run MD with it and have the teacher label what it
    visits, so that the student is right where its own dynamics goes. Then the student is checked
    on frames it has not seen, and runs MD in OpenMM. The folder then holds student.safetensors,
    dataset.h5, report.json, force_analysis.png, topology.pdb, trajectory.dcd, md.csv and run.log.
    Of a series one student is made, with most labels where it is worst; report.json has its errors
    molecule by molecule, and each molecule's MD is in a folder of its name.
    Ctrl-C, or a crash, loses next to nothing: give the same command again.

    Example: `distill run "CC(=O)Nc1ccc(O)cc1" -o paracetamol --size tiny --budget 10`

    `distill run CCO -o ethanol --teacher pyscf:r2scan/def2-svp --labels 25`

    `distill run ligands.sdf -o series --budget 15`
    """
    check_workers(workers)
    check_room(out)
    from distill.run import MINUTES, RunSettings
    from distill.run import run as run_all
    from distill.student.file import SHIPPED

    settings = RunSettings(
        source=from_root(source),
        size=size,
        minutes=MINUTES if budget is None and labels is None else budget,
        labels=labels,
        teacher=teacher,
        weights=str(weights.resolve()) if weights else "",
        teacher_options=tuple(sorted(key_values(teacher_option).items())),
        start=from_root(start, SHIPPED),
        seed=seed,
        temperature=temperature,
        md_ps=md_ps,
        charge=charge,
        spin=spin,
        largest_fragment=largest_fragment,
        assistant=from_root(assistant, SHIPPED),
    )
    run_all(settings, out, console=Console(), workers=workers, skip_bad=skip_bad)


@app.command()
def label(
    source: Annotated[
        list[str] | None,
        typer.Argument(
            help="SMILES; SMI, SDF, MOL2, XYZ or PDB files; or sets by name, the split and a "
            "number after colons. Sets: drugs, chembl, fragments, recombined, dipeptides, dimers, "
            "contacts, ion-contacts, handovers, exchange, clusters, water, ions-in-water, ions, "
            "zwitterions, ionized, small, mutated, analogues, rigid, exotic; each train, "
            "validation, test."
        ),
    ] = None,
    *,
    out: Annotated[Path, typer.Option("-o", "--out", help="The dataset, FILE.h5.")],
    frames: Annotated[int, typer.Option(help="Geometries for each molecule.")] = 10,
    temperatures: Annotated[
        str, typer.Option(help="Of the MD that makes the geometries, in K.")
    ] = "300,500,700",
    conformers: Annotated[int, typer.Option(help="Conformers that MD starts from.")] = 2,
    displaced: Annotated[
        float, typer.Option(help="Fraction of the geometries whose atoms are displaced.")
    ] = 0.1,
    stretched: Annotated[float, typer.Option(help="Fraction with a stretched bond.")] = 0.0,
    turned: Annotated[float, typer.Option(help="Fraction with a turned torsion.")] = 0.0,
    hopped: Annotated[
        float, typer.Option(help="Fraction with a hydrogen between two of N, O and S.")
    ] = 0.0,
    handed: Annotated[
        int,
        typer.Option(
            help="So many more, at most, for 20 geometries: with the hydrogen of a hydrogen bond "
            "on its way to the other side."
        ),
    ] = 0,
    strained: Annotated[
        int,
        typer.Option(
            help="So many more, at most, for 20 geometries: of bonds that the MD of a student "
            "is about to break."
        ),
    ] = 0,
    relaxed: Annotated[
        int,
        typer.Option(
            help="So many conformers beside these, two geometries of each, on the way to a minimum "
            "of the student --md; of pairs of molecules contacts."
        ),
    ] = 0,
    scanned: Annotated[
        int,
        typer.Option(help="So many with a turned torsion, the rest relaxed by the student --md."),
    ] = 0,
    pulled: Annotated[
        int,
        typer.Option(
            help="Of each of --relaxed, if it is a pair of molecules, so many with the two nearer "
            "to each other or farther apart."
        ),
    ] = 0,
    md: Annotated[
        str,
        typer.Option(help="Whose MD: force-field, a student by its name or file, or teacher."),
    ] = "force-field",
    seed: Seed = 0,
    charge: Charge = None,
    spin: Spin = None,
    largest_fragment: LargestFragment = False,
    skip_bad: SkipBad = False,
    workers: Workers = None,
    scheduler: Annotated[
        str | None, typer.Option(help="Label on the Dask cluster at this address instead.")
    ] = None,
    teacher: Teacher = "gfn2-xtb",
    weights: Weights = None,
    teacher_option: TeacherOptions = [],  # noqa: B006
    from_file: Annotated[
        list[Path],
        typer.Option(
            "--from-file",
            help="No teacher is asked: the labels are in this extended XYZ or HDF5 of SPICE's "
            "kind, or folder of them. May be repeated.",
        ),
    ] = [],  # noqa: B006
    labelled_by: Annotated[
        str,
        typer.Option("--labelled-by", help="Of --from-file: method and program, for the record."),
    ] = "",
    energy_key: EnergyKey = None,
    forces_key: ForcesKey = None,
) -> None:
    """Makes geometries of molecules and has a teacher label them.

    Conformers by RDKit, then MD with a cheap force field (MMFF94 or UFF), a student or the teacher
    at several temperatures, some frames displaced; energies and forces by the teacher. All goes to
    one HDF5 file in SPICE's layout. A stopped command goes on when it is given again; with other
    molecules it adds to the file. A geometry that the teacher cannot converge is recorded in the
    file and skipped, and so is a molecule of which RDKit makes no conformer in a minute. What no
    force field can move, as coordinates whose bonds are not found, the student tiny moves instead,
    and the command says so.

    Example: `distill label drugs:test -o drugs.h5 --frames 20 --temperatures 300,500 --md tiny`

    Minima and torsions, too: `distill label CCCCO -o b.h5 --md tiny --relaxed 4 --scanned 4`

    Labels of your own become such a file by
    `distill label --from-file mine.xyz -o mine.h5 --labelled-by "wB97M-V/def2-TZVPD, ORCA 6.1"`
    """
    check_workers(workers)
    check_room(out)
    if from_file or labelled_by or energy_key or forces_key:
        if from_file and (teacher != "gfn2-xtb" or weights or teacher_option):
            raise DistillError(
                "With --from-file no teacher is asked; leave out --teacher and its options, or "
                f"give {from_file[0]} without --from-file to have its geometries labelled."
            )
        label_from_files(source, from_file, out, labelled_by, (energy_key, forces_key))
        return
    if not source:
        raise DistillError("There is nothing to label; give SMILES, files or sets by name.")
    from distill.data.label import label as label_all
    from distill.data.sampling import FORCE_FIELD, TEACHER, Sampling, chunks
    from distill.student.file import load_student
    from distill.teacher.base import TeacherSpec

    if md not in (FORCE_FIELD, TEACHER):
        load_student(md)  # a wrong name is told now, not once a molecule
        md = str(Path(md).resolve()) if Path(md).is_file() else md
    sampling = Sampling(
        frames=frames,
        temperatures=numbers(temperatures, "--temperatures"),
        conformers=conformers,
        displaced=displaced,
        stretched=stretched,
        turned=turned,
        hopped=hopped,
        strained=strained,
        handed=handed,
        relaxed=relaxed,
        scanned=scanned,
        pulled=pulled,
        md=md,
        seed=seed,
    )
    spec = TeacherSpec(teacher, weights, key_values(teacher_option))
    molecules = molecules_of(source, charge, spin, largest_fragment, skip_bad)
    tasks = [task for molecule in molecules for task in chunks(molecule, sampling)]
    if out.is_dir():
        raise DistillError(f"{out} is a folder; give a file for the dataset, as -o FILE.h5.")
    report = label_all(tasks, spec, out, scheduler=scheduler, workers=workers)
    console = Console()
    console.print(f"{report.labelled} geometries labelled; they are in {out}.", highlight=False)
    if report.tasks_done_before:
        console.print(f"{report.tasks_done_before} of {len(tasks)} batches were there already.")
    for reason, count in report.reasons.items():
        console.print(f"{count} left out: {reason}", highlight=False, markup=False)


def label_from_files(
    source: list[str] | None,
    files: list[Path],
    out: Path,
    labelled_by: str,
    keys: tuple[str | None, str | None],
) -> None:
    """What ``label --from-file`` does."""
    if not files:
        raise DistillError(
            "--labelled-by, --energy-key and --forces-key are for --from-file; leave them out."
        )
    if source:
        raise DistillError(f"With --from-file nothing is labelled; leave out {source[0]}.")
    from distill.data.own_labels import write_own_labels
    from distill.evaluate.label_keys import LabelKeys

    written = write_own_labels(files, out, labelled_by, LabelKeys(*keys))
    Console().print(
        f"{written.geometries} geometries of {written.molecules} molecules are in {out}.",
        highlight=False,
    )


@app.command()
def train(
    data: Annotated[
        list[Path],
        typer.Argument(
            help="Datasets made by `distill label`, extended XYZ with energies and forces in eV "
            "and Å, SPICE's HDF5; or folders of them."
        ),
    ],
    out: Annotated[Path, typer.Option("-o", "--out", help="The folder for the student.")],
    size: Annotated[
        str | None,
        typer.Option(help="original, tiny or ultra-tiny.", show_default="tiny, or that of --from"),
    ] = None,
    start: Annotated[
        str | None,
        typer.Option(
            "--from",
            help="A shipped student's name or a student file to train on.",
            show_default="random weights",
        ),
    ] = None,
    valid: Annotated[
        Path | None, typer.Option(help="A dataset to check on.", show_default="a tenth, held out")
    ] = None,
    minutes: Annotated[
        float | None,
        typer.Option(help="Training time.", show_default="30, unless --steps is given"),
    ] = None,
    steps: Annotated[
        int | None,
        typer.Option(help="Training steps; the same seed then makes the same student."),
    ] = None,
    seed: Seed = 0,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the stopped run in the folder.")
    ] = False,
    learning_rate: Annotated[
        float | None, typer.Option(help="The highest of the schedule.", show_default="by size")
    ] = None,
    backend: Annotated[
        str, typer.Option(help="Of the training step: auto, kernel, compiled or eager.")
    ] = "auto",
    accelerator: Annotated[str, typer.Option(help="Lightning's: cpu, gpu, auto.")] = "cpu",
    devices: Annotated[int, typer.Option(help="Devices or processes that train together.")] = 1,
    batch: Annotated[
        int, typer.Option(help="Of how many times 384 atoms a step is; a GPU wants 4 or more.")
    ] = 1,
    threads: Annotated[int, typer.Option(help="Threads of each process.")] = 1,
    assistant: AssistantName = "auto",
    energy_key: EnergyKey = None,
    forces_key: ForcesKey = None,
) -> None:
    """Trains a student on labelled datasets.

    Where labels are few (a thousand at most) and --assistant is not none, a large student learns
    them first and teaches this one on geometries of the same molecules that cost no label; with 25
    labels that is five times better (docs/few_labels.md), and takes minutes.

    The learning rate falls to zero at the end of the time (or of the steps). A tenth of the
    molecules (of the geometries, when there is one molecule) is held out and judges the student.
    All labels must be of one teacher. A folder stands for the files in it; of a folder of
    `distill run` the labels that it trained on are taken, and its test.h5 is not.
    The folder gets student.safetensors, whose card has teacher, training set and held-out errors
    (`distill info`), metrics.csv and curve.png. A stopped run goes on with --resume.

    Example: `distill train drugs.h5 -o drugs-tiny --size tiny --minutes 30`
    """
    check_room(out)
    from distill.evaluate.label_keys import LabelKeys
    from distill.student.config import size_config
    from distill.student.file import load_student
    from distill.train.config import LEARNING_RATES, TrainConfig
    from distill.train.from_datasets import first_rank, train_from_datasets

    if size is None:
        size = load_student(start).config.size if start else "tiny"
    size_config(size)
    config = TrainConfig(
        minutes=30.0 if minutes is None and steps is None else minutes,
        steps=steps,
        seed=seed,
        learning_rate=LEARNING_RATES[size] if learning_rate is None else learning_rate,
        backend=backend,
        accelerator=accelerator,
        devices=devices,
        batch=batch,
    )
    with torch_threads(threads):
        student = train_from_datasets(
            data, out, config, size=size, start=start, valid=valid, resume=resume,
            keys=LabelKeys(energy_key, forces_key), assistant=assistant,
            budget_given=minutes is not None or steps is not None,
        )  # fmt: skip
    if first_rank():
        held = student.card["held_out"]
        error = held["force_rmse"]
        Console().print(
            f"Force RMSE {error:.4f} eV/Å on what was held out ({held['geometries']} geometries). "
            "The student is in "
            f"{out / 'student.safetensors'}.",
            highlight=False,
        )


@app.command()
def evaluate(
    student: Annotated[str, typer.Argument(help="A shipped student's name or a student file.")],
    data: Annotated[
        Path,
        typer.Argument(
            help="A dataset (.h5), an extended XYZ with energies and forces, or a folder of these."
        ),
    ],
    out: Annotated[Path, typer.Option("-o", "--out", help="The folder for the report.")],
    force: Annotated[bool, typer.Option("--force", help="Overwrite a report in it.")] = False,
    energy_key: EnergyKey = None,
    forces_key: ForcesKey = None,
) -> None:
    """Compares a student with labels it was not trained on.

    The errors are to whoever labelled: they tell how well the student agrees with its teacher.
    Writes report.json (force_rmse, force_mae, force_r2, angular_error_deg, energy_mae_per_atom
    and everything else: by element, molecule and temperature, with percentiles), analysis.log
    (the same to read) and force_analysis.png and .svg, a figure of six panels.

    Example: `distill evaluate tiny aspirin.h5 -o aspirin-report`
    """
    check_room(out)
    from distill.evaluate import check_out_dir
    from distill.evaluate import evaluate as evaluate_all
    from distill.evaluate.label_keys import LabelKeys
    from distill.student.file import load_student

    check_out_dir(out, force)
    report = evaluate_all(
        load_student(student), data, out, name=student, overwrite=force,
        keys=LabelKeys(energy_key, forces_key),
    )  # fmt: skip

    def shown(key: str, digits: int) -> str:
        return "n/a" if report[key] is None else f"{report[key]:.{digits}f}"

    Console().print(
        f"{report['n_frames']} frames of {report['n_molecules']} molecules: force RMSE "
        f"{shown('force_rmse', 4)} eV/Å, MAE {shown('force_mae', 4)}, "
        f"R2 {shown('force_r2', 5)}, angle {shown('angular_error_deg', 2)}°, energy MAE "
        f"{shown('energy_mae_per_atom', 5)} eV/atom. The report is in {out}.",
        highlight=False,
    )
    Console().print(Text(report["agreement"]), soft_wrap=True)
    for hint in report["hints"]:
        Console(stderr=True).print(Text(hint, style="bold red"), soft_wrap=True)


@app.command()
def check(
    student: Annotated[str, typer.Argument(help="A shipped student's name or a student file.")],
    source: Annotated[
        list[str], typer.Argument(help="As for `distill label`: SMILES, files or sets by name.")
    ],
    against: Annotated[
        str, typer.Option(help="Another student. Default: original, or for original, tiny.")
    ] = "",
    charge: Charge = None,
    spin: Spin = None,
    largest_fragment: LargestFragment = False,
    skip_bad: SkipBad = False,
) -> None:
    """Tells whether a student agrees with its teacher on molecules, without asking the teacher.

    Another student is asked about eight geometries of each, from a force field's MD at 300 and
    500 K. How far their forces differ is about how far the student is from its teacher; where that
    is more than 0.2 eV/Å, the molecule needs labels of its own, and the exit code is 1. How good
    the teacher is, is another matter: the last line tells what is known.

    Example: `distill check original "CC(=O)Nc1ccc(O)cc1"`
    """
    from rich.progress import track
    from rich.table import Table

    from distill.evaluate.second_opinion import second_for, second_opinion
    from distill.student.file import load_student
    from distill.teacher.worth import agreement, teacher_of

    against = against or second_for(student)
    if against == student:
        raise DistillError("A student always agrees with itself; name another with --against.")
    molecules = molecules_of(source, charge, spin, largest_fragment, skip_bad)
    pair = load_student(student), load_student(against)
    one, other = (teacher_of(who.card) for who in pair)
    agrees = "agrees with its teacher" if one == other else f"agrees with {against}"
    table = Table("molecule", "atoms", "differ by (eV/Å)", "verdict")
    doubtful = 0
    watched = Console(stderr=True)
    for molecule in track(molecules, "Asking", console=watched, transient=True):
        found = second_opinion(*pair, molecule)
        doubtful += found.doubtful
        verdict = found.problem or ("needs labels of its own" if found.doubtful else agrees)
        shown = "" if found.problem else f"{found.difference:.3f}"
        table.add_row(Text(found.name), str(found.atoms), shown, Text(verdict))
    console = Console()
    console.print(table)
    told = agreement(teacher_of(pair[0].card))
    if teacher_of(pair[0].card) != teacher_of(pair[1].card):
        told = f"{student} and {against} have different teachers, who differ, too. {told}"
    console.print(Text(told), soft_wrap=True)
    if doubtful:
        console.print(
            f"{doubtful} of {len(molecules)}: make a student of such a molecule with "
            f"distill run SMILES --from {student}.",
            highlight=False,
        )
        raise typer.Exit(1)


app.command()(md)


@app.command()
def info(
    student: Annotated[str, typer.Argument(help="A shipped student's name or a student file.")],
    as_json: Annotated[bool, typer.Option("--json", help="As JSON, for programs.")] = False,
) -> None:
    """Shows a student's card: what it is, who taught it, on what, how far it is from its teacher,
    and what is known of the teacher's own error.

    Example: `distill info tiny`
    """
    import json

    from distill.card import card_tables, facts
    from distill.student.file import load_student

    found = facts(load_student(student))
    if as_json:
        print(json.dumps(found, indent=2, ensure_ascii=False))
    else:
        Console().print(card_tables(found, student))


@app.command()
def export(
    student: Annotated[str, typer.Argument(help="A shipped student's name or a student file.")],
    out: Annotated[Path, typer.Option("-o", "--out", help="The file to write.")],
    kind: Annotated[str, typer.Option("--format", help="See above.")] = "torchscript",
    dtype: Annotated[str, typer.Option(help="Of mliap: float32 or float64.")] = "float32",
    validated: Annotated[
        bool, typer.Option("--validate/--no-validate", help="Run the file, and compare.")
    ] = True,
    force: Annotated[bool, typer.Option("--force", help="Overwrite the file.")] = False,
) -> None:
    """Writes a student as a file for other programs.

    torchscript, onnx and aoti (AOTInductor, compiled for this kind of machine, .pt2) run without
    this package and give energy, forces of positions (N, 3), numbers (N,) int64, edge_index (2, E)
    int64 with both directions of every pair, and edge_shift (E, 3), in eV and Å. They are run on a
    few molecules before they appear; one that is off by more than 1e-5 eV/atom or 1e-4 eV/Å is
    refused.

    lammps is for pair_style distill, mliap for pair_style mliap unified.

    Example: `distill export tiny --format onnx -o tiny.onnx`
    """
    exports = {entry.name: entry for entry in entry_points(group="distill.exports")}
    own = ("torchscript", "onnx", "aoti")
    if kind not in own and kind not in exports:
        raise DistillError(f"Unknown format '{kind}'; there is {', '.join([*own, *exports])}.")
    if dtype not in ("float32", "float64"):
        raise DistillError(f"--dtype is '{dtype}'; use float32 or float64.")
    check_new_file(out, force, student)
    check_room(out)
    hint = ""
    if kind in own:
        from distill.export import FORMATS
        from distill.export.validate import systems_for, validate
        from distill.student.file import load_student

        loaded = load_student(student)
        with whole_file(out) as place:
            FORMATS[kind](loaded, place)
            if validated:
                validate(place, kind, loaded, systems_for(loaded))
    else:
        hint = exports[kind].load()(student, out, dtype)
    Console().print(f"{out}: {os.path.getsize(out) / 1e6:.2f} MB of {kind}.", highlight=False)
    if hint:
        Console().print(hint, highlight=False, markup=False, soft_wrap=True)


@app.command()
def quantize(
    student: Annotated[str, typer.Argument(help="A shipped student's name or a student file.")],
    out: Annotated[
        Path, typer.Option("-o", "--out", help="The student file to write (--calibrate: .onnx).")
    ],
    precision: Annotated[str, typer.Option(help="int8, float16 or bfloat16.")] = "int8",
    fine_tune: Annotated[
        Path | None,
        typer.Option("--fine-tune", help="Train INT8 weights on this dataset's geometries."),
    ] = None,
    steps: Annotated[int, typer.Option(help="Of --fine-tune.", min=1)] = 1000,
    calibrate: Annotated[
        Path | None,
        typer.Option("--calibrate", help="Activations in INT8 too, by this dataset: an ONNX file."),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite the file.")] = False,
) -> None:
    """Writes a student with its weights in fewer bits: a student file, a quarter of the size.

    Every command and engine takes it as any other; they compute in float32, as fast as before.
    `distill evaluate` tells what it costs in accuracy. --fine-tune lets the weights find better
    places on the INT8 grid, taught by the float32 student itself. Labels are not looked at; any
    geometries with all its elements will do, and the student can label them: `distill label SOURCE
    --teacher ase:distill_ase:StudentCalculator --teacher-option student=tiny -o calibration.h5`.

    Example: `distill quantize tiny -o tiny-int8.safetensors --fine-tune calibration.h5`
    """
    if precision not in ("int8", "float16", "bfloat16"):
        raise DistillError(f"--precision is '{precision}'; use int8, float16 or bfloat16.")
    if (fine_tune or calibrate) and precision != "int8":
        raise DistillError("--fine-tune and --calibrate are for --precision int8.")
    if fine_tune and calibrate:
        raise DistillError("Give --fine-tune (a student file) or --calibrate (ONNX), not both.")
    if calibrate and out.suffix != ".onnx":
        raise DistillError(f"--calibrate writes an ONNX file; name it .onnx, not {out}.")
    if not calibrate and out.suffix == ".onnx":
        raise DistillError(
            f"{out} would be a student file; name it .safetensors, or give --calibrate DATASET."
        )
    check_new_file(out, force, student, *(x for x in (fine_tune, calibrate) if x))
    check_room(out)
    from distill.student.file import load_student, save_student, student_path

    loaded = load_student(student)
    if loaded.card.get("precision", "float32") != "float32":
        raise DistillError(
            f"{student} is in {loaded.card['precision']} already; quantize the float32 student."
        )
    off = ""
    if calibrate:
        from distill.quantize.activations import quantize_activations
        from distill.quantize.calibration import read_calibration

        rmse = quantize_activations(loaded, read_calibration(calibrate, loaded), out)
        off = f"; forces differ from it by {rmse:.3f} eV/Å (RMSE)"
    elif fine_tune:
        from rich.progress import Progress

        from distill.quantize.calibration import read_calibration
        from distill.quantize.fine_tune import fine_tune as tune

        frames = read_calibration(fine_tune, loaded)
        with Progress(*Progress.get_default_columns(), console=Console(stderr=True)) as bar:
            task = bar.add_task("fine-tuning", total=steps)
            tuned, scales = tune(loaded, frames, steps, told=lambda: bar.advance(task))
        tuned.card["fine_tuned"] = {"geometries": len(frames), "steps": steps}
        save_student(tuned, out, precision, scales)
    else:
        save_student(loaded, out, precision)
    size, before = os.path.getsize(out), os.path.getsize(student_path(student))
    Console().print(
        f"{out}: {size / 1e3:.1f} kB, {size / before:.2f} of {student}'s{off}.", highlight=False
    )


@app.command()
def bench(
    out: Annotated[Path, typer.Option("-o", "--out", help="The JSON file to write.")],
    sizes: Annotated[str, typer.Option(help="Students, by name or file.")] = (
        "ultra-tiny,tiny,original"
    ),
    engines: Annotated[str, typer.Option(help="See below.")] = (
        "kernel,ase,openmm-reference,openmm-cpu,openmm-python,torch,torchscript"
    ),
    atoms: Annotated[
        str | None,
        typer.Option(
            help="Numbers of atoms.",
            show_default="20,50,200,1000,5000,20000; in water 3000,10000",
        ),
    ] = None,
    solvent: Annotated[
        bool,
        typer.Option(
            "--solvent", help="A drug in water in OpenMM instead: the force field alone, each size."
        ),
    ] = False,
    threads: Annotated[str, typer.Option(help="Numbers of threads.")] = "1",
    dtype: Annotated[str, typer.Option(help="float32, float64 or both.")] = "float32",
    device: Annotated[str, typer.Option(help="cpu, cuda or both.")] = "cpu,cuda",
    seconds: Annotated[float, typer.Option(help="Time for each row, at least.")] = 2.0,
    quick: Annotated[
        bool, typer.Option("--quick", help="20 and 50 atoms, tiny, kernel and torch.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Overwrite the file.")] = False,
) -> None:
    """Measures how fast students run here: ms/step, ns/day at 1 fs, atom-steps/s, peak memory.

    Engines: kernel (the fused kernel alone), ase, openmm-reference and openmm-cpu (TorchForce),
    openmm-python (PythonForce), torch, torchscript. 20 and 50 atoms are drugs in vacuum, more are
    boxes of methanol. torch and torchscript stop at 1,000 atoms. Prints the machine, and how far
    the kernel is from its roofline. Nothing else should run meanwhile. A PNG goes beside the JSON.

    With --solvent: paracetamol in TIP3P, 2 fs a step, and what each student adds to a step.

    Example: `distill bench -o bench.json --atoms 50,1000 --threads 1,2`
    """
    if not 0 < seconds <= 3600:
        raise DistillError(f"--seconds is {seconds}; give a time above 0, an hour at most.")
    if out.suffix == ".png":
        raise DistillError(f"{out} would be the picture's; name the file .json.")
    check_new_file(out, force)
    if not out.resolve().parent.is_dir():
        raise DistillError(f"There is no folder {out.parent}; make it first.")
    check_room(out)
    from distill.bench.run import bench as measure_all
    from distill.bench.run import bench_solvent

    if solvent:
        counts = whole_numbers(atoms or "3000,10000", "--atoms")
        if min(counts) < 1500:
            raise DistillError("--solvent needs boxes of 1500 atoms or more, for the cutoff.")
        bench_solvent(
            out, sizes.split(","), counts, whole_numbers(threads, "--threads"), device.split(","),
            seconds, Console(),
        )  # fmt: skip
        return
    atoms = atoms or "20,50,200,1000,5000,20000"
    if quick:
        sizes, engines, atoms, seconds = "tiny", "kernel,torch", "20,50", 0.2
        device = "cpu"
    measure_all(
        out, sizes.split(","), engines.split(","), whole_numbers(atoms, "--atoms"),
        whole_numbers(threads, "--threads"), dtype.split(","), device.split(","), seconds,
        Console(),
    )  # fmt: skip


def whole_numbers(text: str, option: str) -> list[int]:
    """Whole positive numbers from a list with commas."""
    try:
        found = [int(word) for word in text.split(",")]
    except ValueError:
        found = []
    if not found or min(found) < 1:
        raise DistillError(f"{option} is '{text}'; give whole numbers, like 20,50.")
    return found
