"""Scores for tables. Nothing in here is trained on."""
import numpy as np
from scipy import linalg


def psnr(a, b, peak=255.):
    err = np.mean((a.astype(np.float64) - b) ** 2)
    return np.inf if err == 0 else 10 * np.log10(peak ** 2 / err)


def frechet(mu1, cov1, mu2, cov2):
    """Distance of two Gaussians fitted to features (the F in FID)."""
    root, _ = linalg.sqrtm(cov1.dot(cov2), disp=False)
    if np.iscomplexobj(root):
        root = root.real
    d = mu1 - mu2
    return d.dot(d) + np.trace(cov1 + cov2 - 2 * root)
