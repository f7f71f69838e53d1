"""Hooks for our own small loop (fit_plain in run.py), not for Lightning."""
import logging

import torch

logger = logging.getLogger(__name__)


class OrthogonalRecurrence:
    """Keeps the recurrent matrices near orthogonal, so that gradients survive 168 steps."""

    def __init__(self, weight=1e-3):
        self.weight = weight

    def after_loss(self, state):
        penalty = 0.0
        for name, w in state.model.named_parameters():
            if "weight_hh" not in name:
                continue
            for gate in w.chunk(3):
                gram = gate @ gate.t()
                eye = torch.eye(gram.size(0), device=gram.device)
                penalty = penalty + (gram - eye).pow(2).sum()
        state.loss = state.loss + self.weight * penalty


class LossLogger:
    def __init__(self, every=20):
        self.every, self.history = every, []

    def after_loss(self, state):
        self.history.append(float(state.loss))
        if len(self.history) % self.every == 0:
            recent = self.history[-self.every:]
            logger.info("step %d loss %.4f", len(self.history), sum(recent) / len(recent))
