import json
import os
import random
import time

import torch

from .criterion import make_criterion
from .evaluate import corpus_nll


class Trainer:
    def __init__(self, cfg, model, train_batches, dev_batches):
        self.cfg, self.model = cfg, model
        self.train_batches, self.dev_batches = train_batches, dev_batches
        self.criterion, self.dev_criterion = make_criterion(cfg, cfg.vocab)
        self.opt = torch.optim.Adam(model.parameters(), lr=1e-3, betas=(0.9, 0.98), eps=1e-9)
        self.schedule = torch.optim.lr_scheduler.LambdaLR(
            self.opt, lambda n: min(n / 4000, (4000 / max(n, 1)) ** 0.5))
        self.log = []

    def compute_loss(self, src, tgt):
        logits = self.model(src, tgt[:, :-1])
        n_tokens = (tgt[:, 1:] != self.cfg.pad).sum().item()
        return self.criterion(logits, tgt[:, 1:]), n_tokens

    def run_epoch(self, epoch):
        self.model.train()
        start, total, tokens = time.time(), 0., 0
        for i, (src, tgt) in enumerate(self.train_batches):
            loss, n = self.compute_loss(src.to(self.cfg.device), tgt.to(self.cfg.device))
            (loss / n).backward()
            if (i + 1) % self.cfg.accumulate == 0:
                torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.)
                self.opt.step()
                self.schedule.step()
                self.opt.zero_grad()
            total += loss.item()
            tokens += n
            if i % 200 == 199:
                print('  epoch %d step %d loss/token %.4f  %d tok/s' % (
                    epoch, i + 1, total / tokens, tokens / (time.time() - start)))
        return total / tokens

    def train(self):
        best = float('inf')
        for epoch in range(1, self.cfg.epochs + 1):
            train_loss = self.run_epoch(epoch)
            dev_nll = corpus_nll(self.model, self.dev_batches, self.cfg.pad, self.cfg.device)
            self.log.append({'epoch': epoch, 'train': train_loss, 'dev': dev_nll})
            if dev_nll < best:
                best = dev_nll
                torch.save(self.model.state_dict(), os.path.join(self.cfg.out, 'best.pt'))
            with open(os.path.join(self.cfg.out, 'log.json'), 'w') as f:
                json.dump(self.log, f)


class ScheduledSamplingTrainer(Trainer):
    """For GRUSeq2Seq: feeds back its own words, ever more often."""

    def run_epoch(self, epoch):
        self.model.train()
        keep = max(0.25, 1 - 0.05 * epoch)
        sum_loss = n_batches = 0
        for src, tgt in self.train_batches:
            src, tgt = src.to(self.cfg.device), tgt.to(self.cfg.device)
            h, token = self.model.encode(src), tgt[:, 0]
            loss = 0
            for t in range(1, tgt.size(1)):
                logits, h = self.model.step(token, h)
                loss += self.dev_criterion(logits.unsqueeze(1), tgt[:, t:t + 1])
                token = tgt[:, t] if random.random() < keep else logits.argmax(-1)
            self.opt.zero_grad()
            loss.backward()
            self.opt.step()
            sum_loss += loss.item() / tgt.size(1)
            n_batches += 1
        return sum_loss / n_batches
