"""`ideomotor export`: a checkpoint as a folder that is run without torch (docs/edge.md)."""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from ideomotor.control.errors import UserError, unknown_name
from ideomotor.launch.console import Output

if TYPE_CHECKING:
    from ideomotor.vla.exported.format import ExportedConfig
    from ideomotor.vla.networks import PolicyNetworks

FORMATS = ("onnx", "openvino")
UNUSED, WATCHED = "unused", 400  # of --drop-experts, and the windows that it looks at
MOMENTS = (96, 32)  # recorded windows: that int8 is calibrated on; that its error is measured on


@dataclass(frozen=True)
class ExportOptions:
    """Writes a policy that needs no torch: graphs for onnxruntime or OpenVINO, and the rest in JSON."""

    out: Annotated[Path, tyro.conf.arg(metavar="DIR")]
    """new folder; `--policy` of every command takes it"""

    policy: Annotated[str | None, tyro.conf.arg(metavar="DIR")] = None
    """checkpoint folder, or ORG/NAME on the Hugging Face Hub; the bundled policy by default"""

    to: Annotated[str, tyro.conf.arg(metavar="onnx|openvino")] = "onnx"
    """what runs it: onnxruntime (extra `edge`) or OpenVINO (extra `openvino`)"""

    int8: bool = False
    """weights and activations of 8 bits, calibrated on recorded windows (--data)"""

    data: Annotated[tuple[Path, ...], tyro.conf.arg(metavar="DIR")] = ()
    """datasets that --int8 is calibrated on, or that --drop-experts looks at"""

    keep: Annotated[tuple[str, ...], tyro.conf.arg(metavar="GRAPH[:PART]")] = ()
    """graphs, or nodes of one with PART in their names, that --int8 leaves in float32"""

    cameras: Annotated[tuple[str, ...] | None, tyro.conf.arg(metavar="NAME")] = None
    """that it will be shown; what belongs to others is left out; all of its own by default"""

    drop_experts: Annotated[tuple[str, ...], tyro.conf.arg(metavar="BLOCK.EXPERT")] = ()
    """of a decoder with experts: some that are left out, counted from 0; or `unused`, all that no window of
    --data goes to"""

    text: bool = True
    """whether it can write the readable plan"""

    json: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    """write what was exported as JSON; - is standard output"""


def export(options: ExportOptions) -> int:
    """The command."""
    output = Output(options.json)
    result = export_to(options)
    output.result(result)
    output.text.print(_sentence(result), markup=False)
    return 0


def export_to(options: ExportOptions) -> dict[str, Any]:
    """Exports, and returns what: `{"policy", "out", "to", "precision", "cameras", "text", "bytes",
    "float32_bytes"}`, and with int8 `"int8"`, see `train.quantization.action_errors`."""
    _check(options)
    from ideomotor.control.embodiment import load_embodiment
    from ideomotor.eval.policy_spec import checkpoint_fingerprint
    from ideomotor.launch.checkpoints import policy_folder, policy_name
    from ideomotor.vla.checkpoint import LANGUAGE
    from ideomotor.vla.exported.export import begun, check_extra, export_policy, write_config
    from ideomotor.vla.exported.format import TOKENIZER
    from ideomotor.vla.networks import PolicyNetworks

    check_extra(options.to, options.int8)
    folder = policy_folder(options.policy)
    networks = PolicyNetworks.from_pretrained(folder)
    embodiment = load_embodiment(networks.processor.embodiment)
    dropped = _dropped(networks, options)
    source = checkpoint_fingerprint(folder, embodiment)
    card = _card(policy_name(options.policy), options)
    tokenizer = folder / LANGUAGE / TOKENIZER
    result: dict[str, Any] = {
        "policy": policy_name(options.policy),
        "out": str(options.out),
        "to": options.to,
    }
    with tempfile.TemporaryDirectory() as scratch:
        plain = Path(scratch) / "float32"
        config = export_policy(networks, tokenizer, source, plain, options.cameras, options.text, card)
        result["float32_bytes"] = sum((plain / name).stat().st_size for name in config.files())
        with begun(options.out) as partial:
            for path in plain.iterdir():
                shutil.copyfile(path, partial / path.name)
            if options.int8:
                config, result["int8"] = _quantized(plain, config, options, partial)
            if options.to == "openvino":
                from ideomotor.vla.exported.openvino_format import to_openvino

                config = to_openvino(partial, config)
            write_config(partial, config)
            result["bytes"] = sum((partial / name).stat().st_size for name in config.files())
    result |= {"dropped_experts": dropped} if dropped else {}
    return result | {"precision": config.precision, "cameras": list(config.cameras), "text": config.text}


def _dropped(networks: PolicyNetworks, options: ExportOptions) -> list[str]:
    """Leaves experts out of the decoder; returns which."""
    if not options.drop_experts:
        return []
    from ideomotor.train.routing import routing
    from ideomotor.vla.decoder.experts import drop_experts

    names = list(options.drop_experts)
    if names == [UNUSED]:
        names = routing(networks, options.data, WATCHED).unused()
    drop_experts(networks.decoder.mixtures(), names)
    return names


def _quantized(
    plain: Path, config: ExportedConfig, options: ExportOptions, partial: Path
) -> tuple[ExportedConfig, dict[str, float]]:
    """Calibrates, writes int8 graphs over those in `partial` and measures what they change."""
    from ideomotor.control.embodiment import load_embodiment
    from ideomotor.datasets.loading.loader import WindowLoader
    from ideomotor.train.quantization import action_errors, moments, quantize, record_feeds
    from ideomotor.vla.exported.export import write_config
    from ideomotor.vla.exported.networks import ExportedNetworks

    networks = ExportedNetworks.from_exported(plain)
    embodiment = load_embodiment(config.embodiment)
    loader = WindowLoader(options.data, embodiment, config.decoder.horizon, 32, timing=config.timing)
    calibration, judged = MOMENTS
    seen = list(moments(loader, calibration + judged))
    config = quantize(plain, config, record_feeds(networks, seen[:calibration]), partial, options.keep)
    write_config(partial, config)
    return config, action_errors(networks, ExportedNetworks.from_exported(partial), seen[calibration:])


def _check(options: ExportOptions) -> None:
    if options.to not in FORMATS:
        raise unknown_name("to", options.to, FORMATS)
    if options.int8 and not options.data:
        raise UserError(
            "data: missing, expected --data DIR with recorded windows that --int8 is calibrated on"
        )
    unused = options.drop_experts == (UNUSED,)
    if unused and not options.data:
        raise UserError("data: missing, expected --data DIR whose windows --drop-experts unused looks at")
    if not options.int8 and (options.keep or (options.data and not unused)):
        raise UserError(f"{'keep' if options.keep else 'data'}: belongs to --int8")


def _sentence(result: dict[str, Any]) -> str:
    line = f"{result['out']}: {result['precision']} for {result['to']}, {result['bytes'] / 1e6:.1f} MB"
    if "int8" in result:
        found = result["int8"]
        line += (
            f" (float32: {result['float32_bytes'] / 1e6:.1f} MB); chunks differ by "
            f"{1000 * found['chunk_rms']:.1f} mrad or mm, those of another noise by "
            f"{1000 * found['noise_rms']:.1f}"
        )
    return line


def _card(name: str, options: ExportOptions) -> str:
    kind = "int8" if options.int8 else "float32"
    return (
        f"# {name}, exported\n\nA policy of Ideomotor in {kind} for {options.to}, which runs without torch: "
        "`ideomotor run TASK --policy DIR`, and `--policy DIR` of every other command.\n"
    )
