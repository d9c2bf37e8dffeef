"""The model card: a page that says what the model was made of and how good it is, all of it from measured figures."""

from __future__ import annotations


def write_card(header: dict, report: dict, command: str) -> str:
    """Markdown card of a model.

    Args:
        header: ``training`` and ``calibration`` of the model file.
        report: what :func:`commands.evaluate.evaluate_groups` measured, by group of subjects.
        command: the command that made ``report``.
    """
    training = header["training"]
    lines = [
        f"# Model card: {header['name']}",
        "",
        "Predicts the Dice coefficient (DSC) of one axial CT slice of one segment from the CT, the mask and the",
        "structure's name. An estimate for finding masks worth a look; no claim for any clinical purpose.",
        "",
        "## What it was made of",
        "",
        *(f"- **{key.replace('_', ' ')}**: {value}" for key, value in training.items()),
        "",
        "Masks with errors were simulated from reference masks (erosion, shift, leak, missing part, ...); their true",
        "DSC is known. No pretrained weights were used.",
        "",
        "## How good it is",
        "",
        "Measured on subjects that were never trained on, with simulated errors. Every slice that holds mask voxels is",
        "counted. DSC of a slice is that of the whole slice; of a segment, volumetric. Intervals are 95 %, by",
        "bootstrap over subjects. AUROC is that of finding true DSC < 0.7.",
        "",
        "| subjects | n | unit | Pearson r | Spearman r | MAE | bias | AUROC |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for group, figures in report.items():
        label = f"{group} ({figures['subjects']})"
        lines.append(_row(label, "slices", figures["slices"]))
        for method, agreement in figures["segments"].items():
            lines.append(_row(label, f"segments, {method.replace('_', ' ')}", agreement))
    lines += ["", f"Made by `{command}`.", ""]
    for group, figures in report.items():
        lines += [
            f"### {group}: by structure (slices)",
            "",
            "| structure | n | r | MAE | bias |",
            "|---|---|---|---|---|",
        ]
        lines += [_short_row(name, a) for name, a in sorted(figures["by_structure"].items())]
        lines.append("")
    halfwidths = header["calibration"]
    lines += [
        "## Intervals",
        "",
        f"`dsc_low` and `dsc_high` are the predicted DSC of a segment -/+ {halfwidths['segment_halfwidth']:.3f}, the",
        f"{halfwidths['coverage']:.0%} conformal quantile of the absolute error on validation subjects that were",
        "neither trained nor tested on. It holds for errors like the simulated ones, on CTs like these.",
        "",
        "## What the figures do not show",
        "",
        "- The errors are simulated; those of networks and people differ.",
        "- The real CTs trained on show head and neck; torso structures were seen in generated phantoms only.",
        "- OpenKBP voxels are 4 to 5 mm wide: small structures have a handful of voxels per slice there, and a slice's",
        "  true DSC moves in coarse steps.",
        "- The TotalSegmentator example is one subject, and its reference is itself a network's output.",
        "- Slices that a mask misses entirely are not scored by this model.",
        "",
    ]
    return "\n".join(lines)


def _row(group: str, unit: str, a: dict) -> str:
    def with_interval(metric: str) -> str:
        low_high = a.get(f"{metric}_95ci")
        return f"{a[metric]:.3f}" + (f" ({low_high[0]:.3f} to {low_high[1]:.3f})" if low_high else "")

    return (
        f"| {group} | {a['n']} | {unit} | {with_interval('pearson_r')} | {a['spearman_r']:.3f} | "
        f"{with_interval('mae')} | {a['bias']:+.3f} | {a['auroc_bad']:.3f} |"
    )


def _short_row(name: str, a: dict) -> str:
    return f"| {name} | {a['n']} | {a['pearson_r']:.3f} | {a['mae']:.3f} | {a['bias']:+.3f} |"
