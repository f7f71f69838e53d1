"""Models and datasets by name, for our configs."""
import inspect

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


def build(table, name, **kwargs):
    """An object by name; arguments it does not know are dropped with a note."""
    obj = _TABLES[table][name]
    known = inspect.signature(obj).parameters
    if not any(p.kind is p.VAR_KEYWORD for p in known.values()):
        for k in sorted(set(kwargs) - set(known)):
            print('%s: no argument %s' % (name, k))
            del kwargs[k]
    return obj(**kwargs)


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


@register('schedule', name='poly')
def polynomial(step, total=100000, power=.9):
    return (1 - step / total) ** power
