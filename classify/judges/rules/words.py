"""What names say: the vocabulary of deep-learning code."""

from __future__ import annotations

import re
from functools import cache
from itertools import pairwise


def vocabulary(text: str) -> frozenset[str]:
    """Return the words of a text, which keeps a long list short."""
    return frozenset(text.split())


_WORD = re.compile(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z]+|[A-Z]+")

_LOSS = vocabulary(
    "loss losses cost costs kl kld klds kldiv elbo nelbo nll bce objective penalty penalties"
    " regularization regularisation regularize xent xentropy vlb"
    " criterion criterions lossfn lossfunc lossfunction mmd likelihood loglikelihood"
    " crossentropy divergence discrepancy hinge err error errors"
)
_ERROR = frozenset({"err", "error", "errors"})
_LOSS_PAIRS = frozenset({("cross", "entropy"), ("free", "energy"), ("gradient", "penalty")})
_AFTER_LOSS = vocabulary(
    "weight weights scale scales scaler coef coeff coefs coefficient coefficients factor factors"
    " lambda lam lambdas alpha beta gamma name names type types file path dir directory op str"
    " string key keys meter meters tracker trackers idx index indices mask masks freq every step"
    " steps iter iters ratio ratios threshold logger figure fig plot plots ax axis axes curve"
    " curves text txt message msg log logs logged history hist placeholder size shape dim dims"
    " grad grads gradient gradients var vars variable variables config args kwargs params module"
    " layer layers callback callbacks hook summary summaries writer line title label labels data"
    " delta window queue deque rate schedule schedulers monitor csv png json strategy mode"
    " reduction metric metrics handler code codes class cls id ids count counts num"
)
_LOGGED = vocabulary(
    "avg average averaged running epoch best prev previous last lowest min max history hist"
    " smooth smoothed smoothing moving ema meter plot tracker diff ratio improvement old relative"
)
_FUNCTION = vocabulary(
    "fn fns func funcs fct function functions criterion criterions factory class lossfn lossfunc"
    " lossfunction object"
)
_TELLING = vocabulary(
    "plot log print save draw show load write record parse display dump visualize visualise"
    " smooth format test assert check reset read register track setup report add"
)
_SCALAR = vocabulary(
    "size num n len length steps step lr eps epsilon alpha beta gamma lambda lam lmbda lambd scale"
    " coef coeff coefficient factor epoch epochs iter iters iteration iterations count total rate"
    " frac fraction temperature tau world accum accumulation accumulate k dim dims dimension"
    " channels height width momentum decay nb ndim power exponent margin threshold ntokens norm"
    " normalizer denominator denom gpus replicas workers every freq constant const bs learning"
)
_CONFIGURATION = vocabulary(
    "args arg opt opts cfg config conf flags hparams hps hp options settings hyperparams"
    " hyperparameters hypers"
)
_OPTIMISER = vocabulary(
    "opt opts optim optims optimizer optimizers optimiser optimisers solver solvers adam sgd"
    " rmsprop adagrad scaler amsgrad adamw"
)
_UPDATE = vocabulary("minimize minimise trainer update updates updater upd apply backprop")
_TRAIN = vocabulary("train trains training pretrain pretraining finetune learn learning")
_OPERATION = vocabulary("op ops step steps operation tensor opt")
_TRAINED = vocabulary(
    "step steps op epoch epochs batch one on fn func function model network net generator"
    " discriminator critic d g iteration single minibatch"
)
_WEIGHED = vocabulary("sample class pos token label instance example importance edge")
_COUNTS = vocabulary("num n count counts len length size ntokens steps iters nb denominator")
_COUNTED = vocabulary("tokens samples examples items words batches chars instances")
_HOME = vocabulary("loss losses criterion criterions criteria objective objectives")
_METRIC = vocabulary(
    "metric metrics score scores evaluator accuracy psnr fid iou recall precision auc perplexity"
)
_TRAINING = vocabulary(
    "backward mse mae msle energy entropy regularizer regulariser gradient gradients minimize"
    " minimise optimize loss updates"
)
_BOLTZMANN = re.compile(
    r"rbm|boltzmann|gibbs|contrastive_div|visible|(?<![a-z])cd(_?k|\d+)?(?![a-z])|v_?bias", re.I
)


@cache
def words(name: str) -> tuple[str, ...]:
    """Split ``lossFct`` or ``kl_div2`` into lower-case words."""
    return tuple(word.lower() for word in _WORD.findall(name))


@cache
def names_loss(name: str) -> bool:
    """Say whether a variable, attribute or key of this name holds a loss."""
    found = words(name)
    return bool(found) and _speaks_of_loss(found) and found[-1] not in _AFTER_LOSS | _FUNCTION


@cache
def names_error(name: str) -> bool:
    """Say whether the name speaks only of an error, which can be a metric as well."""
    found = words(name)
    return any(w in _ERROR for w in found) and not any(_is_loss(w) for w in set(found) - _ERROR)


@cache
def names_loss_function(name: str) -> bool:
    """Say whether a function of this name computes a loss."""
    found = words(name)
    return (
        bool(found)
        and _speaks_of_loss(found)
        and found[0] not in _TELLING
        and (found[-1] not in _AFTER_LOSS or found[-1] in _FUNCTION)
    )


@cache
def returns_loss(name: str) -> bool:
    """Say whether a function that is defined under this name returns a loss."""
    return names_loss_function(name) or bool({"regularizer", "regulariser"} & set(words(name)))


@cache
def names_criterion(name: str) -> bool:
    """Say whether the name stands for a loss function itself, rather than for its value."""
    found = words(name)
    if not found or not _speaks_of_loss(found):
        return False
    return found[-1] in _FUNCTION or (name[:1].isupper() and found[-1] in ("loss", "losses"))


@cache
def holds_losses(path: str) -> bool:
    """Say whether a file is the home of losses, by its name or that of its folder."""
    parts = path.removesuffix(".py").split("/")
    if any(words(part)[:1] in (("test",), ("tests",)) for part in parts):
        return False
    return any(
        not _HOME.isdisjoint(found) and found[0] not in _TELLING and found[-1] not in _AFTER_LOSS
        for found in map(words, parts[-2:])
    )


@cache
def names_metric(name: str) -> bool:
    """Say whether a function, class or file of this name measures rather than trains."""
    return not _METRIC.isdisjoint(words(name))


@cache
def mentions_loss(name: str) -> bool:
    """Say whether the concept of a loss shows in a name at all."""
    found = words(name)
    return _speaks_of_loss(tuple(w for w in found if w not in _ERROR))


@cache
def names_logged(name: str) -> bool:
    """Say whether the name speaks of a number kept for a report: an average, the best so far."""
    return any(word in _LOGGED for word in words(name))


@cache
def names_scalar(path: str) -> bool:
    """Say whether a name stands for a number that is set, not computed from data."""
    parts = [p for p in re.split(r"[.\[\]()']+", path) if p]
    if not parts:
        return False
    if any(part.lower() in _CONFIGURATION for part in parts[:-1]):
        return True
    last = parts[-1]
    spoken = words(last)
    if len(spoken) > 1 and spoken[-1] == "weight" and spoken[-2] not in _WEIGHED:
        return True  # kld_weight, style_weight
    return bool(set(words(last)) & _SCALAR) or (last.isupper() and len(last) > 3)


@cache
def names_count(name: str) -> bool:
    """Say whether a variable of this name counts something, by which sums are divided."""
    found = set(words(name))
    return bool(found & _COUNTS) or ("total" in found and bool(found & _COUNTED))


@cache
def names_size(name: str) -> bool:
    """Say whether a function of this name gives a size or a count."""
    return bool(
        set(words(name)) & {"size", "num", "len", "length", "count", "steps", "rank", "world"}
    )


@cache
def names_optimiser(name: str) -> bool:
    """Say whether the name stands for an optimiser."""
    return bool(set(words(name)) & _OPTIMISER)


@cache
def names_train_op(name: str) -> bool:
    """Say whether a graph's node of this name updates parameters when it is run."""
    found = words(name)
    if not found or mentions_loss(name) or found[-1] in ("summary", "summaries", "sum", "lr"):
        return False
    known = set(found)
    return bool(
        known & _OPTIMISER
        or known & _UPDATE
        or found[-1] in ("train", "trainer", "training")
        or (known & _TRAIN and found[-1] in _OPERATION)
    )


@cache
def names_training(name: str) -> bool:
    """Say whether a function of this name trains, where its body cannot be read."""
    found = words(name)
    if name in ("fit", "partial_fit", "fit_generator", "fit_one_cycle", "optimize_parameters"):
        return True
    trains = bool(found) and found[0] in ("train", "training", "pretrain", "finetune")
    return trains and (len(found) == 1 or found[1] in _TRAINED)


@cache
def names_update(name: str) -> bool:
    """Say whether a variable of this name holds a step by which weights are changed."""
    plain = name.lower()
    return plain[:2] in ("dw", "dv", "dh", "db") or any(
        word in plain for word in ("upd", "grad", "delta", "new_")
    )


@cache
def names_weight(name: str) -> bool:
    """Say whether an attribute of this name holds weights or biases of a network."""
    plain = name.lower().strip("_")
    return plain in ("w", "b", "c", "a", "bv", "bh", "vb", "hb") or any(
        w in plain for w in ("weight", "bias")
    )


def speaks_of_training(text: str) -> bool:
    """Say whether a text holds any of the words without which no loss can be told in it."""
    if "training_step" in text or "create_train_op" in text or speaks_of_boltzmann(text):
        return True
    return any(word in _TRAINING or _is_loss(word) for word in _distinct_words(text))


def _distinct_words(text: str) -> set[str]:
    return {word.lower() for word in set(_WORD.findall(text))}


def speaks_of_boltzmann(text: str) -> bool:
    """Say whether a text speaks of a (restricted) Boltzmann machine."""
    return _BOLTZMANN.search(text) is not None


def _is_loss(word: str) -> bool:
    return word in _LOSS or (word.endswith(("loss", "losses")) and word not in ("gloss", "floss"))


def _speaks_of_loss(found: tuple[str, ...]) -> bool:
    return any(_is_loss(w) for w in found) or any(pair in _LOSS_PAIRS for pair in pairwise(found))
