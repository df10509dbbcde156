"""Hydra's launcher for brainseg, `hydra/launcher=brainseg`; Hydra looks for plugins here.

It imports next to nothing, since Hydra reads it for every command.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from hydra.core.config_store import ConfigStore
from hydra.core.utils import JobReturn, JobStatus
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, open_dict


class BrainsegLauncher(Launcher):
    """Trains the cells on this machine, each in a process, `jobs` of them side by side."""

    def __init__(self, jobs: int | str) -> None:
        self.jobs = jobs

    def setup(
        self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig
    ) -> None:
        """Take what Hydra gives; the task is always `brainseg.sweep.worker.train_cell`."""
        self.config, self.loader = config, hydra_context.config_loader

    def launch(
        self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int
    ) -> Sequence[JobReturn]:
        """Train one batch of the sweeper; raises as `brainseg.sweep.launch.launch`."""
        from brainseg.sweep.launch import launch

        configs = []
        for number, overrides in enumerate(job_overrides, initial_job_idx):
            config = self.loader.load_sweep_config(self.config, list(overrides))
            with open_dict(config):
                config.hydra.job.id = config.hydra.job.num = number
            configs.append(config)
        results = launch(configs, self.jobs)
        return [
            JobReturn(overrides=overrides, status=JobStatus.COMPLETED, _return_value=dice)
            for overrides, dice in zip(job_overrides, results, strict=True)
        ]


@dataclass
class Settings:
    """`hydra/launcher=brainseg`."""

    _target_: str = "hydra_plugins.brainseg_launcher.BrainsegLauncher"
    jobs: Any = "${jobs}"


ConfigStore.instance().store("brainseg", Settings, group="hydra/launcher", provider="brainseg")
