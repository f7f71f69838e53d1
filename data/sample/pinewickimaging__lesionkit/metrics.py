import numpy as np


def hard_dice(pred, truth):
    both = np.logical_and(pred, truth).sum()
    size = pred.sum() + truth.sum()
    # empty in both counts as perfect, the challenge does it so as well
    return 1.0 if size == 0 else 2.0 * both / size


class SegmentationScore:
    def __init__(self):
        self.dices, self.volumes = [], []

    def add(self, preds, truths):
        for p, t in zip(preds, truths):
            self.dices.append(hard_dice(p == 1, t == 1))
            # ml, at 1 mm isotropic
            self.volumes.append(abs(int((p == 1).sum()) - int((t == 1).sum())) / 1000.)

    def mean(self):
        return float(np.mean(self.dices)) if self.dices else 0.0
