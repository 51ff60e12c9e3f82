"""Which molecules are chosen to be labelled next: those on which two students disagree most."""

from pathlib import Path

import numpy as np
import pytest

from distill.data.explore import first_geometries
from distill.data.molecules import read_molecules
from distill.pretrained.choose import main
from distill_ase import StudentCalculator

SMILES = ("CCO", "CC[N+](C)(C)[O-]", "C", "c1ccsc1", "OO")


@pytest.mark.slow
def test_the_molecules_of_most_disagreement(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    source, out = tmp_path / "pool.smi", tmp_path / "hard.smi"
    source.write_text("".join(f"{smiles}\n" for smiles in SMILES))
    command = ["choose", "tiny", "ultra-tiny", str(source), "-o", str(out)]
    monkeypatch.setattr("sys.argv", [*command, "--count", "3", "--workers", "1"])
    main()

    def difference(smiles: str) -> float:
        (molecule,) = read_molecules(smiles)
        atoms = molecule.atoms(first_geometries(molecule, 1, 0)[0])
        forces = []
        for name in ("tiny", "ultra-tiny"):
            atoms.calc = StudentCalculator(name, backend="torch", dtype="float64")
            forces.append(atoms.get_forces())
        return float(np.linalg.norm(forces[0] - forces[1], axis=1).max())

    expected = sorted(SMILES, key=difference, reverse=True)[:3]
    assert out.read_text().split() == expected
    least = difference(expected[-1])
    assert f"3 of 5; they disagree by {least:.2f} eV/Å" in capsys.readouterr().out
