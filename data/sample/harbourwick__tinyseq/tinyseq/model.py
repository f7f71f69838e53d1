import math

import torch
import torch.nn as nn
import torch.nn.functional as F


class Seq2Seq(nn.Module):
    """nn.Transformer with tied embeddings."""

    def __init__(self, vocab, d_model=256, heads=4, layers=3, pad=0, dropout=0.1, max_len=256):
        super().__init__()
        self.pad, self.scale = pad, math.sqrt(d_model)
        self.embed = nn.Embedding(vocab, d_model, padding_idx=pad)
        self.pos = nn.Parameter(torch.randn(max_len, d_model) * 0.02)
        self.core = nn.Transformer(d_model, heads, layers, layers, 4 * d_model, dropout, batch_first=True)
        self.drop = nn.Dropout(dropout)

    def forward(self, src, tgt):
        causal = nn.Transformer.generate_square_subsequent_mask(tgt.size(1)).to(src.device)
        s, t = (self.drop(self.embed(ids) * self.scale + self.pos[:ids.size(1)]) for ids in (src, tgt))
        h = self.core(s, t, tgt_mask=causal,
                      src_key_padding_mask=src == self.pad,
                      tgt_key_padding_mask=tgt == self.pad,
                      memory_key_padding_mask=src == self.pad)
        return F.linear(h, self.embed.weight)

    @torch.no_grad()
    def greedy(self, src, bos, eos, max_len=80):
        out = torch.full((src.size(0), 1), bos, dtype=torch.long, device=src.device)
        while out.size(1) < max_len:
            nxt = self(src, out)[:, -1].argmax(-1, keepdim=True)
            out = torch.cat([out, nxt], 1)
            if (out == eos).any(1).all():
                break
        return out


class GRUSeq2Seq(nn.Module):
    # the baseline; decodes one step at a time
    def __init__(self, vocab, hidden=256):
        super().__init__()
        self.embed = nn.Embedding(vocab, hidden)
        self.encoder = nn.GRU(hidden, hidden, batch_first=True)
        self.cell = nn.GRUCell(hidden, hidden)
        self.out = nn.Linear(hidden, vocab)

    def encode(self, src):
        return self.encoder(self.embed(src))[1][0]

    def step(self, token, h):
        h = self.cell(self.embed(token), h)
        return self.out(h), h
