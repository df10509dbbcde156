"""How much is measured: enough to be trusted, or just enough to see that it runs."""

from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Case:
    """A network on images of one size, batch norm and `bce_dice` as by default.

    Attributes:
        width: channels of the first level.
        size: height and width of the images in pixels.
        steps: training steps in a turn.
        rounds: turns of each contender that count, fewer where `seconds` are over.
        goal: how many times the plain loop's speed, on a CPU with bf16 of its own.
        patients: of the phantom, where there are no scans.
        depth: number of down-samplings.
        seconds: after which no further round begins.
        batch: slices in a step.
        model: of `conf/model`.
    """

    width: int
    size: int
    steps: int
    rounds: int
    goal: float
    patients: int = 24
    depth: int = 4
    seconds: float = 20
    batch: int = 16
    model: str = "unet"

    def __str__(self) -> str:
        network = "" if self.model == "unet" else f"{self.model}, "
        return f"{network}width {self.width}, {self.size} px"


@dataclass(frozen=True)
class Scale:
    """Sizes of everything that is measured.

    Attributes:
        cases: networks, the largest first.
        rounds: turns that count of what takes a second or two.
        starts: turns that count of commands that are started.
        cells: of the sweep that is timed.
        files: patients and slices of each in the folder that is cached.
        beside: small cells that train side by side, epochs of each, and turns.
        busy: epochs and size of the images of trainings at once, and how many of them at most.
        growth: patients of the smaller and the larger data set that a worker holds.
        volume: voxels of the scan that is segmented.
        quality: minutes of training after which recipes are compared.
    """

    cases: tuple[Case, ...]
    rounds: int
    starts: int
    cells: int
    files: tuple[int, int]
    beside: tuple[int, int, int]
    busy: tuple[int, int, int]
    growth: tuple[int, int]
    volume: tuple[int, int, int]
    quality: tuple[float, ...]


FULL = Scale(
    cases=(
        Case(32, 256, steps=1, rounds=9, goal=4.0, batch=8),
        Case(16, 128, steps=8, rounds=9, goal=2.4),
    ),
    rounds=9,
    starts=1,
    cells=3,
    files=(10, 60),
    beside=(6, 6, 1),
    busy=(4, 96, 3),
    growth=(8, 32),
    volume=(240, 240, 155),
    quality=(5, 15),
)
ON_GPU = replace(FULL, cases=(Case(32, 256, steps=50, rounds=9, goal=4.0, seconds=10),))
QUICK = Scale(
    cases=(Case(8, 32, steps=2, rounds=1, goal=1.0, patients=8, depth=2, batch=4),),
    rounds=1,
    starts=1,
    cells=2,
    files=(4, 4),
    beside=(2, 1, 1),
    busy=(1, 32, 1),
    growth=(3, 12),
    volume=(40, 40, 5),
    quality=(0.05,),
)
