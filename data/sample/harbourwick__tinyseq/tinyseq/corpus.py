from collections import Counter
import random

import torch
from torch.nn.utils.rnn import pad_sequence

SPECIAL = ['<pad>', '<s>', '</s>', '<unk>']


def build_vocab(sentences, min_count=2):
    count = Counter(w for s in sentences for w in s)
    words = SPECIAL + sorted(w for w, n in count.items() if n >= min_count)
    return words, {w: i for i, w in enumerate(words)}


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
