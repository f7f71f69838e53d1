"""What names say: the vocabulary of deep-learning code."""

from __future__ import annotations

import re
from functools import lru_cache
from itertools import pairwise

REMEMBERED = 1 << 14
"""So many names are known at a time, of each question about names: the most of a repository."""


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
    " lossfunction object compute"
)
_TELLING = vocabulary(
    "plot log print save draw show load write record parse display dump visualize visualise"
    " smooth format test assert check reset read register track setup report add scale unscale"
)
_SCALAR = vocabulary(
    "size num n len length steps step lr eps epsilon alpha beta gamma lambda lam lmbda lambd scale"
    " coef coeff coefficient factor epoch epochs iter iters iteration iterations count total rate"
    " frac fraction temperature tau world accum accumulation accumulate k dim dims dimension"
    " channels height width momentum decay nb ndim power exponent margin threshold ntokens norm"
    " normalizer normalization normalisation denominator denom gpus replicas workers every freq"
    " constant const bs learning"
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
_RATES = vocabulary("alpha eta rate lrate learn_rate step_size")
_GRADIENT = re.compile(r"d[WwVvUuHhBb](?![a-z])|grad")
_NETWORK = vocabulary("gen disc generator discriminator critic encoder decoder model net d g")
_DIVERGENCE = vocabulary("kl kld klds divergence mmd")
_COUNTS = vocabulary("num n count counts len length size ntokens steps iters nb denominator")
_COUNTED = vocabulary("tokens samples examples items words batches chars instances")
_HOME = vocabulary("loss losses criterion criterions criteria objective objectives")
_REFERENCE = vocabulary("expected desired true reference ref manual numpy np actual")
_RECORD = vocabulary("log logs logging history stats statistics meters metrics records tracker")
_CRITIC = vocabulary("d dis disc discriminator critic netd")
_VARIABLE = re.compile(r"[A-Za-z]\d?_")
"""How a variable begins that is not called like a class: ``D_loss``."""
_FRAMEWORK = vocabulary("tf torch pytorch np numpy keras py test")
_METRIC = vocabulary(
    "metric metrics score scores evaluator evaluation accuracy psnr fid iou recall precision auc"
    " perplexity"
)
_TRAINING = vocabulary(
    "backward mse mae msle energy entropy regularizer regulariser gradient gradients minimize"
    " minimise optimize loss updates lr learning"
)
_BOLTZMANN = re.compile(
    r"rbm|boltzmann|gibbs|contrastive_div|visible|(?<![a-z])cd(_?k|\d+)?(?![a-z])|v_?bias", re.I
)
_OF_BOLTZMANN = ("rbm", "boltzmann", "gibbs", "contrastive_div", "visible", "cd", "bias")
"""One of these is in every match: to look for them takes a tenth of the time."""


@lru_cache(REMEMBERED)
def words(name: str) -> tuple[str, ...]:
    """Split ``lossFct`` or ``kl_div2`` into lower-case words."""
    return tuple(word.lower() for word in _WORD.findall(name))


@lru_cache(REMEMBERED)
def names_loss(name: str) -> bool:
    """Say whether a variable, attribute or key of this name holds a loss."""
    found = words(name)
    if not found or found[0] in _REFERENCE or "for" in found:
        return False
    return _speaks_of_loss(found) and found[-1] not in _AFTER_LOSS | _FUNCTION


@lru_cache(REMEMBERED)
def names_error(name: str) -> bool:
    """Say whether the name speaks only of an error, which can be a metric as well."""
    found = words(name)
    return any(w in _ERROR for w in found) and not any(_is_loss(w) for w in set(found) - _ERROR)


@lru_cache(REMEMBERED)
def names_divergence(name: str) -> bool:
    """Say whether the name speaks of a loss only as of a distance between distributions."""
    found = set(words(name))
    return bool(found & _DIVERGENCE) and not any(_is_loss(w) for w in found - _DIVERGENCE)


@lru_cache(REMEMBERED)
def names_output_delta(name: str) -> bool:
    """Say whether a function of this name gives the derivative of a loss at the output."""
    found = set(words(name))
    return not (found.isdisjoint({"delta", "deltas"}) or found.isdisjoint({"output", "last"}))


@lru_cache(REMEMBERED)
def names_loss_function(name: str) -> bool:
    """Say whether a function of this name computes a loss."""
    found = words(name)
    return (
        bool(found)
        and _speaks_of_loss(found)
        and found[0] not in _TELLING
        and (found[-1] not in _AFTER_LOSS or found[-1] in _FUNCTION)
    )


@lru_cache(REMEMBERED)
def returns_loss(name: str) -> bool:
    """Say whether a function that is defined under this name returns a loss."""
    return names_loss_function(name) or bool({"regularizer", "regulariser"} & set(words(name)))


@lru_cache(REMEMBERED)
def names_criterion(name: str) -> bool:
    """Say whether the name stands for a loss function itself, rather than for its value."""
    found = words(name)
    if not found or not _speaks_of_loss(found):
        return False
    if found[-1] in _FUNCTION:
        return True
    loss = (_is_loss(found[-1]) and found[-1] not in _ERROR) or found[-2:] in _LOSS_PAIRS
    return loss and name[:1].isupper() and not (name.isupper() or _VARIABLE.match(name))


@lru_cache(REMEMBERED)
def names_loss_method(name: str) -> bool:
    """Say whether a method of this name, which is passed on or listed, computes a loss."""
    found = words(name)
    return mentions_loss(name) and found[0] not in _TELLING


@lru_cache(REMEMBERED)
def names_record(name: str) -> bool:
    """Say whether a collection of this name keeps numbers for a report."""
    return not _RECORD.isdisjoint(words(name)[:1])


@lru_cache(REMEMBERED)
def names_critic(name: str) -> bool:
    """Say whether a network of this name scores samples: its mean score is a loss."""
    found = words(name)
    return bool(found) and found[-1] in _CRITIC and len(found) <= 2


@lru_cache(REMEMBERED)
def names_score(name: str) -> bool:
    """Say whether a variable of this name holds a critic's scores."""
    return not _CRITIC.isdisjoint(words(name)[:1])


@lru_cache(REMEMBERED)
def names_log_probability(name: str) -> bool:
    """Say whether the name is that of a log-probability: negated, it is a loss by itself."""
    plain = name.lower().replace("_", "")
    return plain.startswith(("logprob", "logpi", "lprob")) or plain == "logp"


@lru_cache(REMEMBERED)
def names_scaling(name: str) -> bool:
    """Say whether a variable of this name scales others."""
    return words(name)[-1:] == ("scale",)


@lru_cache(REMEMBERED)
def is_entry_of_losses(path: str) -> bool:
    """Say whether a path is that of an entry, by its key, in a collection of losses."""
    if not path.endswith("']"):
        return False
    collection, _, key = path[:-2].rpartition("['")
    name = collection.replace("[]", "").rpartition(".")[2]
    return names_loss(name) and not names_error(key) and not names_metric(key)


@lru_cache(REMEMBERED)
def holds_losses(path: str) -> bool:
    """Say whether a file is the home of losses, by its name or that of its folder."""
    parts = path.removesuffix(".py").split("/")
    if any(words(part)[:1] in (("test",), ("tests",)) for part in parts):
        return False
    return any(
        not _HOME.isdisjoint(found) and found[0] not in _TELLING and found[-1] not in _AFTER_LOSS
        for found in map(words, parts[-2:])
    )


@lru_cache(REMEMBERED)
def names_metric(name: str) -> bool:
    """Say whether a function, class or file of this name measures rather than trains."""
    return not _METRIC.isdisjoint(words(name))


@lru_cache(REMEMBERED)
def measures(name: str) -> bool:
    """Say whether a function, class or file is one of a metric: its name ends in one."""
    if mentions_loss(name):
        return False
    found = [word for word in words(name) if word not in _FRAMEWORK]
    return bool(found) and found[-1] in _METRIC


@lru_cache(REMEMBERED)
def mentions_loss(name: str) -> bool:
    """Say whether the concept of a loss shows in a name at all."""
    found = words(name)
    return _speaks_of_loss(tuple(w for w in found if w not in _ERROR))


@lru_cache(REMEMBERED)
def names_logged(name: str) -> bool:
    """Say whether the name speaks of a number kept for a report: an average, the best so far."""
    return any(word in _LOGGED for word in words(name))


@lru_cache(REMEMBERED)
def names_scalar(path: str) -> bool:
    """Say whether a name stands for a number that is set, not computed from data."""
    parts = [p for p in re.split(r"[.\[\]()']+", path) if p]
    if not parts:
        return False
    if any(not _CONFIGURATION.isdisjoint(words(part)[-1:]) for part in parts[:-1]):
        return True
    last = parts[-1]
    spoken = words(last)
    if len(spoken) > 1 and spoken[-1] == "weight" and spoken[-2] not in _WEIGHED:
        return True  # kld_weight, style_weight
    return bool(set(words(last)) & _SCALAR) or (last.isupper() and len(last) > 3)


@lru_cache(REMEMBERED)
def names_rate(name: str) -> bool:
    """Say whether a number of this name is a learning rate."""
    return (
        name.lower() in _RATES or words(name)[-2:] == ("learning", "rate") or ("lr" in words(name))
    )


@lru_cache(REMEMBERED)
def names_gradient(name: str) -> bool:
    """Say whether a variable of this name holds a gradient: ``dW``, ``grad_b``."""
    return _GRADIENT.match(name) is not None


@lru_cache(REMEMBERED)
def names_count(name: str) -> bool:
    """Say whether a variable of this name counts something, by which sums are divided."""
    found = set(words(name))
    return bool(found & _COUNTS) or ("total" in found and bool(found & _COUNTED))


@lru_cache(REMEMBERED)
def names_size(name: str) -> bool:
    """Say whether a function of this name gives a size or a count."""
    return bool(
        set(words(name)) & {"size", "num", "len", "length", "count", "steps", "rank", "world"}
    )


@lru_cache(REMEMBERED)
def names_optimiser(name: str) -> bool:
    """Say whether the name stands for an optimiser."""
    return bool(set(words(name)) & _OPTIMISER)


@lru_cache(REMEMBERED)
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
        or (found[0] == "train" and known - {"train"} <= _NETWORK)
    )


@lru_cache(REMEMBERED)
def names_training(name: str) -> bool:
    """Say whether a function of this name trains, where its body cannot be read."""
    found = words(name)
    if name in ("fit", "partial_fit", "fit_generator", "fit_one_cycle", "optimize_parameters"):
        return True
    trains = bool(found) and found[0] in ("train", "training", "pretrain", "finetune")
    return trains and (len(found) == 1 or found[1] in _TRAINED)


@lru_cache(REMEMBERED)
def names_update(name: str) -> bool:
    """Say whether a variable of this name holds a step by which weights are changed."""
    plain = name.lower()
    return plain[:2] in ("dw", "dv", "dh", "db") or any(
        word in plain for word in ("upd", "grad", "delta", "new_")
    )


@lru_cache(REMEMBERED)
def names_weight(name: str) -> bool:
    """Say whether an attribute of this name holds weights or biases of a network."""
    plain = name.lower().strip("_")
    return plain in ("w", "b", "c", "a", "bv", "bh", "vb", "hb") or any(
        w in plain for w in ("weight", "bias")
    )


def speaks_of_training(text: str) -> bool:
    """Say whether a text holds any of the words without which no loss can be told in it."""
    if "training_step" in text or "create_train_op" in text:
        return True
    if any(word in _TRAINING or _is_loss(word) for word in _distinct_words(text)):
        return True
    return speaks_of_boltzmann(text)


def _distinct_words(text: str) -> set[str]:
    return {word.lower() for word in set(_WORD.findall(text))}


def speaks_of_boltzmann(text: str) -> bool:
    """Say whether a text speaks of a (restricted) Boltzmann machine."""
    if text.isascii():
        lowered = text.lower()
        if not any(part in lowered for part in _OF_BOLTZMANN):
            return False
    return _BOLTZMANN.search(text) is not None


def _is_loss(word: str) -> bool:
    return word in _LOSS or (word.endswith(("loss", "losses")) and word not in ("gloss", "floss"))


def _speaks_of_loss(found: tuple[str, ...]) -> bool:
    return any(_is_loss(w) for w in found) or any(pair in _LOSS_PAIRS for pair in pairwise(found))
