"""Early stopping that survives a restart of the job."""
import json
import os


class EarlyStopping:
    def __init__(self, path, patience=10, min_delta=0.):
        self.path, self.patience, self.min_delta = path, patience, min_delta
        self.best, self.bad = float('inf'), 0
        if os.path.exists(path):
            with open(path) as f:
                self.best, self.bad = json.load(f)

    def __call__(self, val_loss):
        """True when the loss has not gone down for too long."""
        if val_loss < self.best - self.min_delta:
            self.best, self.bad = val_loss, 0
        else:
            self.bad += 1
        with open(self.path, 'w') as f:
            json.dump([self.best, self.bad], f)
        return self.bad > self.patience
