import math
from collections import Counter

import torch


@torch.no_grad()
def corpus_nll(model, batches, pad, device):
    """Nats a token, without smoothing, so that runs can be compared."""
    model.eval()
    nll, n = 0., 0
    for src, tgt in batches:
        src, tgt = src.to(device), tgt.to(device)
        logp = model(src, tgt[:, :-1]).log_softmax(-1)
        gold = tgt[:, 1:].unsqueeze(-1)
        mask = (gold != pad).float()
        nll -= (logp.gather(2, gold) * mask).sum().item()
        n += int(mask.sum())
    return nll / n


def perplexity(nll):
    return math.exp(min(nll, 50.))


def bleu(hyps, refs, max_n=4):
    match, total = [0] * max_n, [0] * max_n
    hyp_len = ref_len = 0
    for h, r in zip(hyps, refs):
        hyp_len += len(h)
        ref_len += len(r)
        for n in range(1, max_n + 1):
            hn, rn = (Counter(zip(*(s[i:] for i in range(n)))) for s in (h, r))
            match[n - 1] += sum((hn & rn).values())
            total[n - 1] += max(sum(hn.values()), 1)
    if min(match) == 0:
        return 0.
    log_p = sum(math.log(m / t) for m, t in zip(match, total)) / max_n
    return 100. * math.exp(log_p + min(0., 1 - ref_len / hyp_len))
