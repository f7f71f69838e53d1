import torch
import torch.nn.functional as F

from networks.base import UNetBase


class LesionNet(UNetBase):
    dice_weight = 1.0
    smooth = 1.0

    def soft_dice(self, logits, mask):
        prob = torch.softmax(logits, 1)[:, 1]
        m = (mask == 1).float()
        inter = (prob * m).flatten(1).sum(1)
        size = prob.flatten(1).sum(1) + m.flatten(1).sum(1)
        return 1 - ((2 * inter + self.smooth) / (size + self.smooth)).mean()

    def loss(self, outs, mask):
        logits = outs[-1]
        return F.cross_entropy(logits, mask) + self.dice_weight * self.soft_dice(logits, mask)


class FocalLesionNet(LesionNet):
    gamma = 2.0

    def loss(self, outs, mask):
        logp = F.log_softmax(outs[-1], 1).gather(1, mask.unsqueeze(1)).squeeze(1)
        return -((1 - logp.exp()) ** self.gamma * logp).mean()
