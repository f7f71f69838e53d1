import numpy as np
from scipy.ndimage import binary_erosion, distance_transform_edt


def hard_dice(pred, truth):
    both = np.logical_and(pred, truth).sum()
    size = pred.sum() + truth.sum()
    # empty in both counts as perfect, the challenge does it so as well
    return 1.0 if size == 0 else 2.0 * both / size


def _surface(mask):
    return mask ^ binary_erosion(mask)


def hausdorff95(pred, truth, spacing=(1.0, 1.0)):
    if not pred.any() or not truth.any():
        return np.nan
    to_truth = distance_transform_edt(~_surface(truth), sampling=spacing)[_surface(pred)]
    to_pred = distance_transform_edt(~_surface(pred), sampling=spacing)[_surface(truth)]
    return np.percentile(np.hstack([to_truth, to_pred]), 95)


class SegmentationScore:
    def __init__(self):
        self.dices = []

    def add(self, preds, truths):
        for p, t in zip(preds, truths):
            self.dices.append(hard_dice(p == 1, t == 1))

    def mean(self):
        return float(np.mean(self.dices)) if self.dices else 0.0

    def __repr__(self):
        return "dice %.4f over %d slices" % (self.mean(), len(self.dices))
