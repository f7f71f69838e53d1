"""Models and datasets by name, for our configs."""
_TABLES = {}


def register(table, name=None):
    def deco(obj):
        key = name or obj.__name__
        rows = _TABLES.setdefault(table, {})
        if key in rows:
            raise KeyError('%s registered twice in %s' % (key, table))
        rows[key] = obj
        return obj
    return deco


class EarlyStopping:
    def __init__(self, patience=10, min_delta=0.):
        self.patience, self.min_delta = patience, min_delta
        self.best, self.bad = float('inf'), 0

    def __call__(self, val_loss):
        """True when the loss has not gone down for too long."""
        if val_loss < self.best - self.min_delta:
            self.best, self.bad = val_loss, 0
        else:
            self.bad += 1
        return self.bad > self.patience


@register('schedule')
def warmup_linear(step, warmup=1000, total=100000):
    if step < warmup:
        return step / warmup
    return max(0., (total - step) / (total - warmup))
