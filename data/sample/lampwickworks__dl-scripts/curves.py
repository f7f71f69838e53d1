"""Plots out of the log files our trainers write: one json object a line."""
import json
import sys
from collections import defaultdict

import matplotlib
matplotlib.use('Agg')
import matplotlib.pyplot as plt
import numpy as np


def read_log(path):
    cols = defaultdict(list)
    with open(path) as f:
        for line in f:
            try:
                row = json.loads(line)
            except ValueError:
                continue  # killed in the middle of a line
            for k, v in row.items():
                cols[k].append(v)
    return {k: np.array(v, dtype=float) for k, v in cols.items()}


def plot_loss(log, ax, label):
    train, val = log['loss'], log.get('val_loss')
    ax.plot(np.convolve(train, np.ones(9) / 9, 'same'), label=label + ' train')
    if val is not None:
        best = int(np.nanargmin(val))
        ax.plot(val, '--', label=label + ' val')
        ax.plot(best, val[best], 'o', c='k', ms=3)
    ax.set_yscale('log')
    ax.set_ylabel('loss')


def generalization_gap(log):
    # how much worse on unseen data, over the last ten epochs
    return float(np.mean(log['val_loss'][-10:] - log['loss'][-10:]))


fig, ax = plt.subplots(figsize=(5, 3.2))
for path in sys.argv[1:]:
    log = read_log(path)
    plot_loss(log, ax, path.rsplit('/', 1)[-1])
    print('%-40s gap %.4f' % (path, generalization_gap(log)))
ax.legend(fontsize=7)
fig.savefig('loss.pdf', bbox_inches='tight')
