import random

import torch
from torch.nn.utils.rnn import pad_sequence

SPECIAL = ['<pad>', '<s>', '</s>', '<unk>']


class Batches:
    """Buckets by length, a budget of tokens a batch."""

    def __init__(self, pairs, index, budget=4096, shuffle=True):
        self.pairs = sorted(pairs, key=lambda p: (len(p[1]), len(p[0])))
        self.index, self.budget, self.shuffle = index, budget, shuffle

    def __iter__(self):
        batch, batches, width = [], [], 0
        for pair in self.pairs:
            width = max(width, len(pair[0]), len(pair[1]))
            if batch and width * (len(batch) + 1) > self.budget:
                batches.append(batch)
                batch, width = [], max(map(len, pair))
            batch.append(pair)
        batches.append(batch)
        if self.shuffle:
            random.shuffle(batches)
        for batch in batches:
            yield tuple(pad_sequence([torch.tensor([1] + [self.index.get(w, 3) for w in s] + [2])
                                      for s in side], True) for side in zip(*batch))
