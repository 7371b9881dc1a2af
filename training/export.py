"""Export: a trained model as one file that other runtimes load, and what it takes to feed it."""

from __future__ import annotations

import json
import shutil
import warnings
from enum import StrEnum
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch._dynamo.exc import UserError
from torch._inductor import aoti_compile_and_package
from torch._inductor.cpp_builder import get_cpp_compiler
from torch._inductor.exc import InvalidCxxCompiler
from torch.export import Dim, ExportedProgram

from training.artifact import load_model
from training.card import CARD, CARD_PAGE
from training.data.batch import Batch
from training.data.encode import SPEC, VOCABULARIES
from training.data.spec import InputSpec
from training.errors import ExportError
from training.sealed import fingerprint, sealed_folder

OUTPUT = "probabilities"
CONTRACT = "export.json"
_COPIED = (SPEC, VOCABULARIES, CARD, CARD_PAGE)
_EXAMPLE_ROWS = 2  # a size of one would be taken for a constant


class Format(StrEnum):
    """What a model can be exported to."""

    ONNX = "onnx"
    AOTINDUCTOR = "aotinductor"

    @property
    def file(self) -> str:
        """Name of the exported file."""
        return "model.onnx" if self is Format.ONNX else "model.pt2"


class Scorer(nn.Module):
    """A ranker as a function of plain tensors: those of `Batch` without labels, to probabilities [B, T]."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model.eval()

    def forward(
        self, ids: Tensor, numeric: Tensor, sequence: Tensor, ages: Tensor, mask: Tensor, scenario: Tensor
    ) -> Tensor:
        unlabelled = numeric[:, :0]
        return torch.sigmoid(self.model(Batch(ids, numeric, sequence, ages, mask, scenario, unlabelled)))


def export_model(folder: Path, form: Format, target: Path) -> None:
    """Write the model of `folder` in another form, with what it takes to feed it.

    `target` appears whole, with a hash of every file: the model, the specification and vocabularies of
    its input, its card, and export.json, which names inputs, outputs and the model it was made from.

    An AOTInductor package is native code for this machine's kind of processor. Nothing in Gatehouse loads
    one, `load_model` and the registry refuse it: build it where you trust the model folder, and run it there.

    Raises:
        SealError, ArtifactError: the folder holds no model that can be trusted.
        ExportError: the model cannot be written in this form, or not on this machine.
    """
    model, encoder = load_model(folder)
    program = exported(Scorer(model), encoder.spec)
    with sealed_folder(target) as staging:
        write = write_onnx if form is Format.ONNX else write_package
        write(program, staging / form.file)
        for name in _COPIED:
            shutil.copyfile(folder / name, staging / name)
        contract = _contract(encoder.spec, form, fingerprint(folder))
        (staging / CONTRACT).write_text(json.dumps(contract, indent=2) + "\n", encoding="utf-8")


def exported(scorer: nn.Module, spec: InputSpec) -> ExportedProgram:
    """The graph of a module that takes what `Scorer` takes, for any number of rows.

    Raises:
        ExportError: what the model computes depends on the number of rows, or on values.
    """
    rows = Dim("rows", min=1)
    example = tuple(_example(spec).values())
    try:
        return torch.export.export(scorer.eval(), example, dynamic_shapes=({0: rows},) * len(example))
    except (UserError, RuntimeError) as error:
        raise ExportError(
            "the model is not one graph for any number of rows: its forward must not branch on values, and "
            f"must take sizes from x.shape, because len(x) is a constant to the exporter ({error})"
        ) from error


def write_package(program: ExportedProgram, path: Path) -> None:
    """Compile `program` into an AOTInductor package, path.pt2.

    Raises:
        ExportError: there is no C++ compiler.
    """
    try:
        get_cpp_compiler()
    except InvalidCxxCompiler as error:
        raise ExportError(f"AOTInductor compiles C++: install g++, or export to ONNX ({error})") from error
    aoti_compile_and_package(program, package_path=str(path))


def write_onnx(program: ExportedProgram, path: Path) -> None:
    """Write `program` as ONNX; weights beyond 2 GB, too many for one file, go beside it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about names of axes, which are of no consequence
        written = torch.onnx.export(program, dynamo=True, output_names=(OUTPUT,), verbose=False)
    if written is not None:
        written.save(path)


def _example(spec: InputSpec) -> dict[str, Tensor]:
    """Rows of nobody, in the shapes and types of an exported model's inputs."""
    rows, length = _EXAMPLE_ROWS, spec.sequence_length
    return {
        "ids": torch.zeros(rows, len(spec.ids), dtype=torch.int64),
        "numeric": torch.zeros(rows, len(spec.numerics)),
        "sequence": torch.zeros(rows, length, len(spec.sequences), dtype=torch.int64),
        "ages": torch.zeros(rows, length),
        "mask": torch.zeros(rows, length, dtype=torch.bool),
        "scenario": torch.zeros(rows, dtype=torch.int64),
    }


def _contract(spec: InputSpec, form: Format, made_from: str) -> dict[str, Any]:
    """What a caller of the exported file has to know."""
    return {
        "format": form.value,
        "file": form.file,
        "inputs": [_described(name, tensor) for name, tensor in _example(spec).items()],
        "output": {"name": OUTPUT, "type": "float32", "shape": ["rows", len(spec.tasks)]},
        "tasks": spec.tasks,
        "columns": spec.columns,
        "made_from": made_from,
        "torch": torch.__version__,
    }


def _described(name: str, tensor: Tensor) -> dict[str, Any]:
    kind = str(tensor.dtype).removeprefix("torch.")
    return {"name": name, "type": kind, "shape": ["rows", *tensor.shape[1:]]}
