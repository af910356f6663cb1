"""Graphs in OpenVINO's own format (IR), made of those in ONNX."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from ideomotor.vla.exported.format import SUFFIXES, ExportedConfig


def to_openvino(folder: Path, config: ExportedConfig) -> ExportedConfig:
    """Turns a folder's ONNX graphs into OpenVINO's, in place; returns the config that goes with them."""
    import openvino

    for name in config.graphs:
        path = folder / f"{name}{SUFFIXES['onnx'][0]}"
        model = openvino.convert_model(path)
        openvino.save_model(model, folder / f"{name}{SUFFIXES['openvino'][0]}", compress_to_fp16=False)
        path.unlink()
    return replace(config, runtime="openvino")
