from __future__ import annotations

import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torch.nn import functional as F


class TideTask(pl.LightningModule):
    """GRU encoder, one linear head for all quantiles of all hours."""

    def __init__(
        self,
        n_in: int,
        horizon: int = 48,
        hidden: int = 128,
        quantiles: tuple[float, ...] = (0.1, 0.5, 0.9),
        lr: float = 1e-3,
        smooth_weight: float = 0.05,
    ) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.encoder = nn.GRU(n_in, hidden, 2, batch_first=True, dropout=0.1)
        self.head = nn.Linear(hidden, horizon * len(quantiles))
        self.register_buffer("q", torch.tensor(quantiles))

    def forward(self, x: Tensor) -> Tensor:
        _, h = self.encoder(x)
        out = self.head(h[-1])
        return out.view(x.size(0), self.hparams.horizon, -1)

    def pinball(self, pred: Tensor, y: Tensor) -> Tensor:
        err = y.unsqueeze(-1) - pred
        return torch.maximum(self.q * err, (self.q - 1) * err).mean()

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        x, y = batch
        pred = self(x)
        fit = self.pinball(pred, y)
        # the gauges sample a smooth curve; jumps between hours are noise
        rough = (pred[:, 1:] - pred[:, :-1]).abs().mean()
        crossing = F.relu(pred[..., :-1] - pred[..., 1:]).mean()
        loss = fit + self.hparams.smooth_weight * rough + crossing
        self.log_dict({"train/pinball": fit, "train/rough": rough, "train/loss": loss})
        return loss

    def validation_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        x, y = batch
        pred = self(x)
        self.log("val/loss", self.pinball(pred, y), prog_bar=True)
        self.log("val/coverage", self._coverage(pred, y))

    def test_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> dict[str, Tensor]:
        x, y = batch
        pred = self(x)
        mae = (pred[..., 1] - y).abs().mean()
        self.log("test/mae_cm", mae * 100)
        return {"mae": mae}

    @staticmethod
    def _coverage(pred: Tensor, y: Tensor) -> Tensor:
        inside = (y >= pred[..., 0]) & (y <= pred[..., -1])
        return inside.float().mean()

    def configure_optimizers(self):
        opt = torch.optim.AdamW(self.parameters(), lr=self.hparams.lr)
        sched = torch.optim.lr_scheduler.ReduceLROnPlateau(opt, patience=4)
        return {
            "optimizer": opt,
            "lr_scheduler": {"scheduler": sched, "monitor": "val/loss"},
        }
