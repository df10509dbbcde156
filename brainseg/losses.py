"""Losses for binary masks: `loss(logits, mask) -> scalar`, computed in float32.

Shapes are [B, K, H, W]: logits of any float type, also from autocast; the mask is 0 or 1; the K
regions may overlap. Every loss is finite, with finite gradients, for empty and full masks.
"""

import torch
import torch.nn.functional as F
from torch import Tensor


def bce_loss(logits: Tensor, mask: Tensor) -> Tensor:
    """Binary cross-entropy, mean over all pixels, regions and samples."""
    logits, mask = _as_float32(logits, mask)
    return F.binary_cross_entropy_with_logits(logits, mask)


def dice_loss(
    logits: Tensor, mask: Tensor, *, smooth: float = 1.0, per_sample: bool = False
) -> Tensor:
    """Soft Dice loss, 1 - (2 sum(p m) + smooth) / (sum(p) + sum(m) + smooth); 0 to 1.

    p is the sigmoid of the logits, m the mask; no squares (Buda et al. 2019), unlike Milletari et
    al. 2016. Sums run over the pixels of the whole batch, then the mean over regions is taken.

    Args:
        logits: [B, K, H, W].
        mask: [B, K, H, W], 0 or 1.
        smooth: above 0, in pixels. It stands above and below the line: predicting nothing on an
            empty mask costs 0, and false positives cost more the more there are.
        per_sample: sum over each sample's own pixels, then take the mean over samples too. Every
            empty slice then counts as much as one with tumour.

    Raises:
        ValueError: the shapes differ, or `smooth` is not above 0.
    """
    tp, pred, target = _soft_counts(logits, mask, per_sample)
    return 1 - _smooth_ratio(2 * tp, pred + target, smooth).mean()


def iou_loss(
    logits: Tensor, mask: Tensor, *, smooth: float = 1.0, per_sample: bool = False
) -> Tensor:
    """Soft IoU (Jaccard) loss, 1 - (sum(p m) + smooth) / (sum(p) + sum(m) - sum(p m) + smooth).

    Rahman & Wang 2016, with smoothing added; arguments, sums and errors as in `dice_loss`.
    """
    tp, pred, target = _soft_counts(logits, mask, per_sample)
    return 1 - _smooth_ratio(tp, pred + target - tp, smooth).mean()


def bce_dice_loss(
    logits: Tensor, mask: Tensor, *, smooth: float = 1.0, per_sample: bool = False
) -> Tensor:
    """Sum of `bce_loss` and `dice_loss`, weighted 1:1."""
    return bce_loss(logits, mask) + dice_loss(logits, mask, smooth=smooth, per_sample=per_sample)


def tversky_loss(
    logits: Tensor,
    mask: Tensor,
    *,
    alpha: float = 0.3,
    beta: float = 0.7,
    smooth: float = 1.0,
    per_sample: bool = False,
) -> Tensor:
    """Tversky loss, 1 - (tp + smooth) / (tp + alpha fp + beta fn + smooth) (Salehi et al. 2017).

    tp = sum(p m), fp = sum(p (1 - m)), fn = sum((1 - p) m): eq. 3 there, with smoothing added.
    alpha = beta = 0.5 is Dice (with twice the smoothing), alpha = beta = 1 is IoU. Sums and
    smoothing as in `dice_loss`.

    Args:
        logits: [B, K, H, W].
        mask: [B, K, H, W], 0 or 1.
        alpha: weight of false positives, 0 or more.
        beta: weight of false negatives, 0 or more; above alpha it favours recall. The defaults
            are the paper's best.
        smooth: above 0, in pixels.
        per_sample: as in `dice_loss`.

    Raises:
        ValueError: the shapes differ, `alpha` or `beta` is negative, or `smooth` is not above 0.
    """
    for name, weight in (("alpha", alpha), ("beta", beta)):
        if weight < 0:
            raise ValueError(f"{name}={weight} must be 0 or more; set loss.{name}")
    tp, pred, target = _soft_counts(logits, mask, per_sample)
    false = alpha * (pred - tp) + beta * (target - tp)
    return 1 - _smooth_ratio(tp, tp + false, smooth).mean()


def focal_loss(logits: Tensor, mask: Tensor, *, alpha: float = 0.25, gamma: float = 2.0) -> Tensor:
    """Focal loss, -alpha_t (1 - p_t)^gamma log(p_t) (Lin et al. 2017, eq. 5), mean over pixels.

    p_t is the probability given to the true class; alpha_t is alpha on tumour and 1 - alpha on
    background. The paper divides the sum by the number of positives instead, which a slice
    without tumour does not have.

    Args:
        logits: [B, K, H, W].
        mask: [B, K, H, W], 0 or 1.
        alpha: weight of the tumour pixels, 0 to 1; the paper's 0.25 goes with its gamma of 2.
        gamma: 0 or more; how much easy pixels are played down. 0 is weighted cross-entropy.

    Raises:
        ValueError: the shapes differ, `alpha` is outside [0, 1], or `gamma` is negative.
    """
    if not 0 <= alpha <= 1:
        raise ValueError(f"alpha={alpha} must be in [0, 1]; set loss.alpha")
    if gamma < 0:
        raise ValueError(f"gamma={gamma} must be 0 or more; set loss.gamma")
    logits, mask = _as_float32(logits, mask)
    margin = torch.where(mask > 0, logits, -logits)  # log p_t = logsigmoid(margin)
    alpha_t = torch.where(mask > 0, alpha, 1 - alpha)
    # (1 - p_t)^gamma by its logarithm: the power's gradient at p_t = 1 is infinite for gamma < 1.
    focus = torch.exp(gamma * F.logsigmoid(-margin))
    return -(alpha_t * focus * F.logsigmoid(margin)).mean()


def _as_float32(logits: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Refuse shapes that would broadcast; float32, as fp16 sums overflow at 512 px (smp#463)."""
    if logits.shape != mask.shape:
        raise ValueError(
            f"mask of shape {tuple(mask.shape)}; must be the logits' {tuple(logits.shape)}; "
            "give masks as [B, K, H, W]"
        )
    return logits.float(), mask.float()


def _soft_counts(logits: Tensor, mask: Tensor, per_sample: bool) -> tuple[Tensor, Tensor, Tensor]:
    """Return sum(p m), sum(p), sum(m) in pixels, each [K], or [B, K] if per sample."""
    logits, mask = _as_float32(logits, mask)
    probs = logits.sigmoid()
    over = (2, 3) if per_sample else (0, 2, 3)
    return (probs * mask).sum(over), probs.sum(over), mask.sum(over)


def _smooth_ratio(part: Tensor, whole: Tensor, smooth: float) -> Tensor:
    """Return (part + smooth) / (whole + smooth), 1 where both are empty."""
    if smooth <= 0:
        raise ValueError(f"smooth={smooth} must be above 0; set loss.smooth, 1 is usual")
    return (part + smooth) / (whole + smooth)
