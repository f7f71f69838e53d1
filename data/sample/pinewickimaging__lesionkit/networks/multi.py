import torch.nn.functional as F

from . import base as B
from .lesion import LesionNet


class DeepLesionNet(B.UNetBase):
    """Deep supervision: every level of the decoder is told the truth at its own scale."""

    def loss(self, outs, mask):
        total, weight = 0.0, 1.0
        for logits in reversed(outs):
            small = F.interpolate(mask[:, None].float(), logits.shape[2:], mode="nearest")
            total = total + weight * F.cross_entropy(logits, small[:, 0].long())
            weight *= 0.5
        return total


class BoundaryLesionNet(LesionNet):

    def loss(self, outs, mask):
        # super() is dice + CE
        return super().loss(outs, mask)

    def loss_at(self, epoch, outs, mask, dist_map):
        """Schedule of the 2nd stage: the boundary term takes over slowly."""
        alpha = max(0.01, 1 - 0.01 * epoch)
        prob = outs[-1].softmax(1)[:, 1]
        boundary = (prob * dist_map).mean()
        return alpha * self.loss(outs, mask) + (1 - alpha) * boundary
