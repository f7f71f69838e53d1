import argparse
import os
from collections import Counter

import torch

from tinyseq.corpus import SPECIAL, Batches
from tinyseq.evaluate import bleu, corpus_nll, perplexity
from tinyseq.model import GRUSeq2Seq, Seq2Seq
from tinyseq.trainer import ScheduledSamplingTrainer, Trainer

parser = argparse.ArgumentParser()
parser.add_argument('--src', default='de')
parser.add_argument('--tgt', default='nds')
parser.add_argument('--out', default='runs/base')
parser.add_argument('--arch', default='transformer', choices=['transformer', 'gru'])
parser.add_argument('--d_model', type=int, default=256)
parser.add_argument('--epochs', type=int, default=40)
parser.add_argument('--accumulate', type=int, default=4)
parser.add_argument('--smoothing', type=float, default=0.1, help='label smoothing of the loss')
parser.add_argument('--unlikelihood', type=float, default=0.)
cfg = parser.parse_args()
cfg.pad, cfg.device = 0, 'cuda' if torch.cuda.is_available() else 'cpu'
os.makedirs(cfg.out, exist_ok=True)

sides = {}
for side in (cfg.src, cfg.tgt):
    sides[side] = {part: [line.split() for line in open('data/%s.%s' % (part, side), encoding='utf-8')]
                   for part in ('train', 'dev', 'test')}

count = Counter(w for side in sides.values() for s in side['train'] for w in s)
words = SPECIAL + sorted(w for w, n in count.items() if n > 1)
index = {w: i for i, w in enumerate(words)}
cfg.vocab = len(words)
pairs = {p: list(zip(sides[cfg.src][p], sides[cfg.tgt][p])) for p in ('train', 'dev', 'test')}
train, dev = Batches(pairs['train'], index), Batches(pairs['dev'], index, shuffle=False)

if cfg.arch == 'gru':
    model = GRUSeq2Seq(cfg.vocab, cfg.d_model).to(cfg.device)
    ScheduledSamplingTrainer(cfg, model, train, dev).train()
else:
    model = Seq2Seq(cfg.vocab, cfg.d_model).to(cfg.device)
    Trainer(cfg, model, train, dev).train()
    test = Batches(pairs['test'], index, shuffle=False)
    print('test perplexity %.2f' % perplexity(corpus_nll(model, test, cfg.pad, cfg.device)))
    hyps, refs = [], []
    for src, tgt in test:
        for out, ids in ((hyps, model.greedy(src.to(cfg.device), 1, 2)), (refs, tgt)):
            out += [[words[i] for i in row if i > 2] for row in ids.tolist()]
    print('BLEU %.2f' % bleu(hyps, refs))
