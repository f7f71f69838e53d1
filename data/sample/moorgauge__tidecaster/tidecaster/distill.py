"""Squeeze a big TideTask into one that runs on the gauge's own board."""
import torch
from torch import nn
import pytorch_lightning as pl

from .task import TideTask


class StudentTask(TideTask):
    """Same network, only smaller; learns from the water and from the teacher."""

    def __init__(self, teacher: nn.Module, alpha: float = 0.7, **kwargs):
        super().__init__(**kwargs)
        self.alpha = alpha
        # in a list, so that it is neither saved nor moved by Lightning
        self._teacher = [teacher.eval().to("cuda")]

    def training_step(self, batch, batch_idx):
        x, y = batch
        with torch.no_grad():
            soft = self._teacher[0](x)
        pred = self(x)
        hard_loss = self.pinball(pred, y)
        soft_loss = torch.square(pred - soft).mean()
        loss = self.alpha * soft_loss + (1 - self.alpha) * hard_loss
        self.log("train/loss", loss)
        return loss


class FinetuneTask(pl.LightningModule):
    def __init__(self, net, lr=1e-4):
        super().__init__()
        self.net = net
        self.lr = lr
        self.criterion = nn.SmoothL1Loss()

    def forward(self, x):
        return self.net(x)[..., 1]

    def training_step(self, batch, batch_idx):
        x, y = batch
        loss = self.criterion(self(x), y)
        self.log("ft/loss", loss)
        return loss

    def configure_optimizers(self):
        return torch.optim.Adam(self.net.head.parameters(), lr=self.lr)
