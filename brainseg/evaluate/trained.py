"""Run folders as evaluate needs them: checked, and ready to predict."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

from hydra.errors import HydraException
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from brainseg import hardware
from brainseg.config import check_types, compose, instantiate
from brainseg.data.cache import Scans
from brainseg.data.prepare import SKIP
from brainseg.data.preprocessing import Preprocessing
from brainseg.data.reader import ALIASES
from brainseg.inference import Model
from brainseg.loaded import refuse_foreign_targets
from brainseg.module import SegmentationModule
from brainseg.runs.checkpoint import load_checkpoint
from brainseg.runs.folder import RunFolder
from brainseg.training.build import load_module

_BUILT = ("data", "split")  # what is instantiated here; load_module checks the rest


@dataclass(frozen=True)
class Trained:
    """One finished run.

    Attributes:
        folder: the run folder.
        config: the resolved configuration, of its checkpoint.
        module: in eval mode, on the device that it was trained on, or else the CPU.
        precision: that of its training, where the device has it.
        metrics: `metrics.json`.
        prepared: how its slices were (`Preprocessing.state`); empty up to revision ab2aa83.
    """

    folder: Path
    config: dict[str, Any]
    module: SegmentationModule
    precision: str
    metrics: dict[str, Any]
    prepared: dict[str, Any] = field(default_factory=dict)

    @property
    def persons(self) -> dict[str, str]:
        """Who its patients are that other data sets have under other names."""
        return self.metrics["split"].get("persons", {})  # type: ignore[no-any-return]

    @property
    def members(self) -> dict[str, list[str]]:
        """The names of the patients of train, val and test."""
        return self.metrics["split"]["members"]  # type: ignore[no-any-return]

    @property
    def leaky(self) -> bool:
        """Whether patients may be on several sides of its split."""
        return bool(self.metrics["split"]["leaky"])

    @property
    def fingerprint(self) -> str:
        """That of the scans that it was trained on."""
        return str(self.metrics["data"]["fingerprint"])

    @property
    def model(self) -> Model:
        """What predicts, in the batches of the training's own scoring."""
        return Model(self.module, self.precision, int(self.config["batch_size"]))

    def scans(
        self, root: Path | None = None, *, data: Sequence[str] = (), skip_faulty: bool = False
    ) -> Scans:
        """The scans it was trained on, or others, prepared as its own were.

        Args:
            root: of others in the same layout.
            data: words that choose another data set, such as data=brats2020 data.root=/brats.
            skip_faulty: leave damaged slices out, even if the training was to stop there.

        Raises:
            ValueError: they are not there, are faulty, or are no longer those of the training.
        """
        chosen = self._elsewhere(data) if data else dict(self.config["data"])
        if skip_faulty:
            chosen["on_error"] = "skip"
        scans: Scans = instantiate(chosen)
        if root is not None:
            scans.root = root  # not by the configuration, which would take ${...} for its own
            scans.reader = getattr(scans.reader, "layout", scans.reader)  # a phantom's would draw
        try:
            scans.prepare()
        except FileNotFoundError as error:
            if data:
                raise ValueError(str(error)) from error
            where = f"--root {root}" if root else f"{self.folder}: data.root={chosen['root']}"
            raise ValueError(
                f"{where} holds no scans in the layout that the run was trained on; "
                "give their folder with --root DIR"
            ) from error
        except ValueError as error:
            raise ValueError(str(error).replace(SKIP, "give --skip-faulty")) from error
        if root is None and not data and scans.fingerprint != self.fingerprint:
            raise ValueError(
                f"{self.folder} was trained on other scans than data.root={chosen['root']} now "
                "holds; restore them, or score these with --root DIR"
            )
        if scans.preprocessing.intensity == "ct":
            if scans.fingerprint != self.fingerprint:
                raise ValueError(
                    f"{self.folder} cannot be scored on other CT than that of its training: "
                    "segment it with python -m brainseg.predict"
                )
            windows = Preprocessing.from_state(self.prepared).windows
            scans.preprocessing = replace(scans.preprocessing, windows=windows)
        return scans

    def _elsewhere(self, words: Sequence[str]) -> dict[str, Any]:
        """The configuration of another data set, for this network."""
        try:
            other = cast(dict[str, Any], OmegaConf.to_container(compose(list(words)).data))
        except (HydraException, OmegaConfBaseException) as error:
            raise ValueError(f"--data {' '.join(words)}: {error}".splitlines()[0]) from error
        if not (isinstance(other, dict) and isinstance(other.get("reader"), dict)):
            raise ValueError(f"--data {' '.join(words)}: must leave a data set with its reader")
        check_types(other, "data")
        own = self.config["data"]
        if own["intensity"] == "ct" or not self.prepared:
            raise ValueError(f"{self.folder} cannot be scored on another data set: train it again")
        reader, mine = instantiate(other["reader"]), instantiate(own["reader"])
        wanted = [mine.modalities[k] for k in self.prepared["channels"]]
        known = {ALIASES.get(name, name): name for name in reader.modalities}
        if absent := [name for name in wanted if ALIASES.get(name, name) not in known]:
            raise ValueError(
                f"{self.folder} wants {', '.join(wanted)}; {words[0]} has no {absent[0]} but "
                f"{', '.join(reader.modalities)}"
            )
        regions = other.get("regions") or list(reader.regions)
        if len(regions) != len(self.module.regions):
            raise ValueError(
                f"{self.folder} segments {', '.join(self.module.regions)}; give as many with "
                f"data.regions=[...] of {', '.join(reader.regions)}"
            )
        prepared = {key: self.prepared[key] for key in ("size", "crop", "denoise", "intensity")}
        prepared["head"] = self.prepared.get("head", "otsu")  # up to fe7d797 there was no other
        modalities = [known[ALIASES.get(name, name)] for name in wanted]
        return other | prepared | {"modalities": modalities, "regions": list(regions)}


def open_run(folder: Path, which: str = "best") -> Trained:
    """A finished run with the weights of one checkpoint.

    Args:
        folder: the run folder.
        which: best or last.

    Raises:
        ValueError: the folder is no finished run, or a file of it is missing or broken.
    """
    metrics = RunFolder(folder).required_metrics
    path = folder / "checkpoints" / f"{which}.ckpt"
    if not path.is_file():
        other = "last" if which == "best" else "best"
        raise ValueError(f"{path} does not exist; try --checkpoint {other}, or train it again")
    checkpoint = load_checkpoint(path)
    config = checkpoint["config"]
    try:
        if "preprocessing" in checkpoint:  # not up to ab2aa83; its version was the first
            Preprocessing.from_state(checkpoint["preprocessing"])
        refuse_foreign_targets({key: config[key] for key in _BUILT})
        module = load_module(path)
    except (ValueError, KeyError, TypeError, RuntimeError) as error:  # of what a file may hold
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise ValueError(f"{path} cannot be used ({reason}); train it again") from error
    own = hardware.on_this_machine(config["trainer"])
    module.to(hardware.device(own["accelerator"]))
    prepared = checkpoint.get("preprocessing", {})
    return Trained(folder, config, module, own["precision"], metrics, prepared)
