"""Writes weights in the form in which they are given away; `predict.published` reads it."""

import hashlib
import json
from pathlib import Path
from typing import Any

from safetensors.torch import save_file

from brainseg.data.reader import ALIASES
from brainseg.data.regions import labels_of
from brainseg.files import write_whole
from brainseg.inference import THRESHOLD
from brainseg.loaded import rebuilt
from brainseg.predict.published import CARD, FORMAT, LICENCE, TENSORS, digest, plain
from brainseg.runs.checkpoint import load_checkpoint
from brainseg.runs.folder import BEST, LAST, METRICS, RunFolder

USE = "research only, not a medical device"
UNKNOWN = "as the scans that they were trained on: see the data's own licence"


def publish(
    run: Path, folder: Path, *, licence: str | None = None, force: bool = False
) -> dict[str, Any]:
    """Write trained weights in the published form.

    Args:
        run: a finished run, whose best checkpoint is taken; or a sweep with folds of a recipe and
            one cell of `split=all`, whose last checkpoint is taken, rounded to float16.
        folder: new, or empty.
        licence: of the weights, which is printed when they are loaded; None: that of the scans.
        force: replace weights that lie there.

    Returns:
        What `model.json` holds.

    Raises:
        ValueError: the run is not finished, the sweep has no such cells, or the folder is not
            empty.
    """
    _refuse_full(folder, force=force)
    if any(run.glob(f"*/{METRICS}")):
        from brainseg.export.folds import few, out_of_fold

        source, folds = _cells(run)
        card = _card(source, LAST) | out_of_fold(folds)
        card["preprocessing"] |= {"few": few(source)}
        card["commands"] = [each.required_metrics["command"] for each in (*folds, source)]
        return _write(source, LAST, folder, card, licence, half=True)
    source = RunFolder(run)
    return _write(source, BEST, folder, _card(source, BEST), licence)


def _refuse_full(folder: Path, *, force: bool) -> None:
    names = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
    if (folder.exists() and not folder.is_dir()) or names - {TENSORS, CARD, LICENCE}:
        raise ValueError(f"--out {folder} holds other things than weights; give a new folder")
    if names and not force:
        raise ValueError(f"--out {folder} is not an empty folder; give a new one, or --force")


def _cells(sweep: Path) -> tuple[RunFolder, list[RunFolder]]:
    """The cell that all patients trained, and the folds of the same recipe."""
    cells = [RunFolder(path.parent) for path in sorted(sweep.glob(f"*/{METRICS}"))]
    everyone = [each for each in cells if each.choices.get("split") == "all"]
    folds = [each for each in cells if (each.config or {}).get("split", {}).get("fold") is not None]
    if len(everyone) != 1 or len(everyone) + len(folds) != len(cells) or len(folds) < 2:
        raise ValueError(
            f"{sweep} has {len(folds)} folds and {len(everyone)} cells of split=all among "
            f"{len(cells)}; must be folds of one recipe and one of split=all: experiment=weights"
        )
    recipes = {_recipe(each) for each in cells}
    if len(recipes) > 1:
        raise ValueError(f"{sweep} mixes recipes; export a sweep of one")
    return everyone[0], folds


def _recipe(cell: RunFolder) -> str:
    known = cell.identity or {}
    return json.dumps({k: v for k, v in known.items() if not k.startswith("split.")})


def _card(run: RunFolder, which: str) -> dict[str, Any]:
    metrics, checkpoint = run.required_metrics, load_checkpoint(run.path / which)
    try:
        return _said(run, metrics, checkpoint)
    except (KeyError, TypeError, AttributeError) as error:  # of what broken files may hold
        why = f"{type(error).__name__}: {error}"
        raise ValueError(f"{run.path} cannot be given away ({why}); train it again") from error


def _said(run: RunFolder, metrics: dict[str, Any], checkpoint: dict[str, Any]) -> dict[str, Any]:
    config = checkpoint["config"]
    reader = rebuilt(config["data"]["reader"])
    regions = list(config["data"].get("regions") or reader.regions)
    return {
        "format": FORMAT,
        "options": {"model": run.choices.get("model", "unet"), "norm": run.choices["norm"]},
        "network": plain(config["model"]["net"], "norm", "pretrained"),
        "norm": plain(config["norm"]),
        "channels": [ALIASES.get(each, each) for each in reader.modalities],
        "regions": regions,
        "labels": labels_of(reader.bits, reader.regions, regions),
        "preprocessing": checkpoint["preprocessing"],
        "threshold": THRESHOLD,
        "threshold_alone": THRESHOLD,
        "temperature": 1.0,
        "tta": False,
        "least_part": 0.0,
        "scores": metrics["scores"]["best"],
        "use": USE,
        "limits": getattr(reader, "limits", []),
        "licence": getattr(reader, "licence", UNKNOWN),
        "training_patients": [_checksum(name) for name in metrics["split"]["members"]["train"]],
        "recipe": {**run.choices, "epochs": config["epochs"], "seed": config["seed"]},
        "commands": [metrics["command"]],
        "git": metrics["git"],
        "date": metrics["date"],
    }


def _write(
    run: RunFolder,
    which: str,
    folder: Path,
    card: dict[str, Any],
    licence: str | None,
    *,
    half: bool = False,
) -> dict[str, Any]:
    folder.mkdir(parents=True, exist_ok=True)
    prefix = "net."
    tensors = {
        name.removeprefix(prefix): value.half() if half and value.is_floating_point() else value
        for name, value in load_checkpoint(run.path / which)["state_dict"].items()
        if name.startswith(prefix)
    }
    save_file({name: each.contiguous() for name, each in tensors.items()}, folder / TENSORS)
    (folder / TENSORS).chmod(0o644)  # safetensors writes for the owner alone
    card |= {"licence": licence or card["licence"], "sha256": digest(folder / TENSORS)}
    write_whole(folder / LICENCE, f"{card['licence']}\n")
    write_whole(folder / CARD, json.dumps(card, indent=1))
    return card


def _checksum(patient: str) -> str:
    return hashlib.sha256(patient.encode()).hexdigest()
