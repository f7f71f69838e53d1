import numpy as np


def hard_dice(pred, truth):
    both = np.logical_and(pred, truth).sum()
    size = pred.sum() + truth.sum()
    # empty in both counts as perfect, the challenge does it so as well
    return 1.0 if size == 0 else 2.0 * both / size


def volume_error(pred, truth, voxel_ml=0.001):
    """absolute difference of lesion volumes, ml"""
    return abs(float(pred.sum()) - float(truth.sum())) * voxel_ml
