"""The recipe of experiment=buda2019 without a line of brainseg: does it score alike?

    python outside.py RUN SCANS EPOCHS

RUN is a finished cell of `experiment=buda2019 data.size=128 model.net.width=16`, whose
metrics.json lists the patients of its fold; SCANS is the folder kaggle_3m. Plain PyTorch, PIL,
OpenCV and MONAI's BasicUNet and DiceLoss, trained on the same patients, print the mean Dice by
patient after every epoch, on the original pixels.
"""

import json
import sys
from pathlib import Path

import cv2
import numpy as np
import torch
from monai.losses import DiceLoss
from monai.networks.nets import BasicUNet
from PIL import Image

SIZE, WIDTH, BATCH, RATE = 128, 16, 16, 1e-4
Scans = dict[str, tuple[np.ndarray, np.ndarray]]
rng = np.random.default_rng(0)


def read(patient: Path) -> tuple[np.ndarray, np.ndarray]:
    """Images [D, H, W, 3], z-scored over what is not black, and masks [D, H, W]."""
    masks = sorted(patient.glob("*_mask.tif"), key=lambda p: int(p.stem.split("_")[-2]))
    images = [np.array(Image.open(str(m).replace("_mask", "")), np.float32) for m in masks]
    volume, head = np.stack(images), np.stack(images).max(-1) > 20
    mean, sd = volume[head].mean(0), volume[head].std(0)
    truth = np.stack([np.array(Image.open(m)) > 127 for m in masks])
    return (volume - mean) / sd, truth


def small(image: np.ndarray) -> np.ndarray:
    """An image averaged, or a mask sampled, to the network's size."""
    how = cv2.INTER_NEAREST if image.dtype == bool else cv2.INTER_AREA
    return cv2.resize(image.astype(np.float32), (SIZE, SIZE), interpolation=how)


def small_all(slices: np.ndarray) -> np.ndarray:
    """All slices of a patient, or their masks, at the network's size."""
    return np.stack([small(one) for one in slices])


def turned(image: np.ndarray, mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Half of the time mirrored; half of the time turned up to 15 degrees, zoomed up to 5 %."""
    if rng.random() < 0.5:
        image, mask = image[:, ::-1], mask[:, ::-1]
    if rng.random() < 0.5:
        middle = (SIZE / 2 - 0.5,) * 2
        turn = cv2.getRotationMatrix2D(middle, rng.uniform(-15, 15), rng.uniform(0.95, 1.05))
        corner = image[0, 0].tolist()
        image = cv2.warpAffine(np.ascontiguousarray(image), turn, (SIZE, SIZE), borderValue=corner)
        mask = cv2.warpAffine(np.ascontiguousarray(mask), turn, (SIZE, SIZE), flags=0)
    return image, mask


def tensor(images: list[np.ndarray]) -> torch.Tensor:
    """Images [H, W, C] as a batch [B, C, H, W]."""
    stacked = torch.from_numpy(np.stack([np.ascontiguousarray(i) for i in images]))
    return stacked.permute(0, 3, 1, 2).to(memory_format=torch.channels_last)


def by_patient(net: torch.nn.Module, scans: Scans, names: list[str]) -> float:
    """Mean over patients of the Dice of the whole volume, at 256 px and probability 0.5."""
    found = []
    net.eval()
    for name in names:
        volume, truth = scans[name]
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
            logits = net(tensor([small(image) for image in volume])).float()[:, 0].numpy()
        large = [cv2.resize(1 / (1 + np.exp(-one)), truth.shape[:0:-1]) for one in logits]
        preds = np.stack(large) > 0.5
        found.append(2 * (preds & truth).sum() / (preds.sum() + truth.sum()))
    net.train()
    return float(np.mean(found))


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def main(run: Path, root: Path, epochs: int) -> None:
    """Train, and print the scores of val and test after every epoch."""
    cell = json.loads((run / "metrics.json").read_text())
    parts = {part: cell["split"]["members"][part] for part in ("train", "val", "test")}
    scans = {name: read(root / name) for names in parts.values() for name in names}
    pixels = np.concatenate([small_all(scans[name][0]) for name in parts["train"]])
    masks = np.concatenate([small_all(scans[name][1]) for name in parts["train"]])
    tumour = masks.any((1, 2))
    chance = np.where(tumour, 0.5 / tumour.sum(), 0.5 / (~tumour).sum())
    torch.manual_seed(0)
    features = (WIDTH, 2 * WIDTH, 4 * WIDTH, 8 * WIDTH, 16 * WIDTH, WIDTH)
    act = ("ReLU", {"inplace": True})
    net = BasicUNet(2, 3, 1, features, act=act, norm="batch").to(memory_format=torch.channels_last)
    _say(f"{sum(p.numel() for p in net.parameters()):,} parameters, {len(masks)} slices")
    criterion = DiceLoss(sigmoid=True, batch=True, smooth_nr=1.0, smooth_dr=1.0)
    optimizer = torch.optim.Adam(net.parameters(), lr=RATE)
    for epoch in range(1, epochs + 1):
        losses = []
        for drawn in rng.choice(len(masks), (len(masks) // BATCH, BATCH), p=chance):
            pairs = [turned(pixels[k], masks[k]) for k in drawn]
            image = tensor([pair[0] for pair in pairs])
            mask = tensor([pair[1][..., None] for pair in pairs]).float()
            with torch.autocast("cpu", torch.bfloat16):
                logits = net(image)
            loss = criterion(logits.float(), mask)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        val, test = (by_patient(net, scans, parts[part]) for part in ("val", "test"))
        _say(f"epoch {epoch} loss {np.mean(losses):.4f} val {val:.4f} test {test:.4f}")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]))
