import numpy as np
import pandas as pd
import torch
from pytorch_lightning import LightningDataModule
from torch.utils.data import DataLoader, Dataset


class WindowDataset(Dataset):
    def __init__(self, table, target, history, horizon):
        self.values = table.to_numpy(np.float32)
        self.target = table.columns.get_loc(target)
        self.history, self.horizon = history, horizon

    def __len__(self):
        return max(0, len(self.values) - self.history - self.horizon + 1)

    def __getitem__(self, i):
        cut = i + self.history
        x = self.values[i:cut]
        y = self.values[cut:cut + self.horizon, self.target]
        return torch.from_numpy(x), torch.from_numpy(y)


class GaugeData(LightningDataModule):
    def __init__(self, csv, target, history=168, horizon=48, batch_size=64):
        super().__init__()
        self.save_hyperparameters()

    def setup(self, stage=None):
        table = pd.read_csv(self.hparams.csv, index_col=0, parse_dates=True)
        table = table.interpolate(limit=6).dropna()
        self.mean, self.std = table.mean(), table.std()
        table = (table - self.mean) / self.std
        n = len(table)
        self.parts = {
            "train": table[: int(n * 0.7)],
            "val": table[int(n * 0.7): int(n * 0.85)],
            "test": table[int(n * 0.85):],
        }

    def _loader(self, part, shuffle=False):
        hp = self.hparams
        data = WindowDataset(self.parts[part], hp.target, hp.history, hp.horizon)
        return DataLoader(data, hp.batch_size, shuffle=shuffle, num_workers=2)

    def train_dataloader(self):
        return self._loader("train", shuffle=True)

    def val_dataloader(self):
        return self._loader("val")

    def test_dataloader(self):
        return self._loader("test")
