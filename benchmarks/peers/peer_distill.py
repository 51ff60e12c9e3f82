"""The shipped students, trained, through ``distill``.

Variants: ``SIZE-eager``, ``SIZE-script`` (TorchScript), ``SIZE-kernel`` (the fused kernel through
ASE) and ``SIZE-bare`` (the fused kernel on numpy arrays), SIZE being original, tiny or ultra-tiny.
"""

import inspect

import common


def build(variant: str, threads: int) -> common.Potential:
    """``StudentCalculator`` or ``KernelStudent``."""
    common.set_torch_threads(threads)
    import torch
    from ase.data import atomic_numbers

    from distill import load_student
    from distill_ase import StudentCalculator

    size, _, kind = variant.rpartition("-")
    student = load_student(size)
    through, skin = "StudentCalculator (ASE)", 1.0
    if kind == "bare":
        from distill.kernels import KernelStudent

        through = "KernelStudent (numpy)"
        kernel = KernelStudent(student, threads=threads, skin=skin)
        numbers = [atomic_numbers[symbol] for symbol in common.molecule()[0]]

        def call(positions: common.Array) -> tuple[float, common.Array]:
            answer = kernel.evaluate(positions, numbers)
            return answer.energies.sum(), answer.forces
    else:
        options = {"backend": "kernel" if kind == "kernel" else "torch", "skin": skin}
        if kind == "kernel" and "threads" in inspect.signature(StudentCalculator).parameters:
            options["threads"] = threads
        calculator = StudentCalculator(student, **options)
        if kind == "script":
            calculator.student.evaluate = torch.jit.script(calculator.student).evaluate
        call = common.through_ase(calculator)
    config = student.config
    return common.Potential(
        call,
        through=through,
        packages=("mlff-distiller", "torch"),
        model=f"{size}: {config.hidden} x {config.layers}, cutoff {config.cutoff:g} Å",
        weights="trained",
        note=f"neighbour list with a skin of {skin:g} Å",
        parameters=common.count(student),
    )


if __name__ == "__main__":
    common.main(build)
