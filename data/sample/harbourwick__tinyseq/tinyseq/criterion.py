import torch
import torch.nn as nn
import torch.nn.functional as F


class LabelSmoothing(nn.Module):
    """KL to the smoothed one-hot; padding takes no mass and no part."""

    def __init__(self, vocab, pad=0, smoothing=0.1):
        super().__init__()
        self.vocab, self.pad, self.smoothing = vocab, pad, smoothing
        self.true_dist = None

    def forward(self, logits, target):
        logp = F.log_softmax(logits.reshape(-1, self.vocab), -1)
        target = target.reshape(-1)
        dist = torch.full_like(logp, self.smoothing / (self.vocab - 2))
        dist.scatter_(1, target.unsqueeze(1), 1 - self.smoothing)
        dist[:, self.pad] = 0
        dist[target == self.pad] = 0
        self.true_dist = dist
        return F.kl_div(logp, dist, reduction='sum')


class SequenceXent(nn.Module):
    def __init__(self, pad=0):
        super().__init__()
        self.xent = nn.CrossEntropyLoss(ignore_index=pad, reduction='none')

    def forward(self, logits, target):
        return self.xent(logits.transpose(1, 2), target).mean()


class UnlikelihoodLoss(nn.Module):
    """Pushes down what was already said in the sentence."""

    def __init__(self, base, weight=0.5, pad=0):
        super().__init__()
        self.base = base
        self.weight = weight
        self.pad = pad

    def forward(self, logits, target):
        # (B, T, T): earlier tokens, without the right answer itself
        neg = target.unsqueeze(1).expand(-1, target.size(1), -1).tril(-1)
        neg = neg.masked_fill(neg == target.unsqueeze(2), self.pad)
        p = logits.softmax(-1).gather(2, neg)
        ul = -torch.log1p(-p.clamp(max=1 - 1e-5)) * (neg != self.pad)
        return self.base(logits, target) + self.weight * ul.sum()


def make_criterion(cfg, vocab):
    """From the config: the training criterion, and the one of validation."""
    base = LabelSmoothing(vocab, cfg.pad, cfg.smoothing)
    if cfg.unlikelihood > 0:
        base = UnlikelihoodLoss(base, cfg.unlikelihood, cfg.pad)
    return base, SequenceXent(cfg.pad)
