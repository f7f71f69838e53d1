import textwrap

import pytest

from classify.special_cases import SpecialCase
from classify.types import UnknownType, known_signs, propose
from mining.code import RepositoryCode

OUTPUT, MODEL = "standalone_model_output_only", "standalone_model_dependency"


def proposed(text, name, path="losses.py"):
    """What the rules propose for the function ``name`` of a one-file repository."""
    code = RepositoryCode("o/r", None, {path: textwrap.dedent(text)})
    found = {s.qualname: s for s in code.extractions[path].snippets}
    return propose(found[name], code, known_signs())


FUNCTIONS = [
    ("two values", OUTPUT, "def f(x, y):\n    return ((x - y) ** 2).mean()"),
    ("a criterion is no model", OUTPUT, "def f(criterion, x, y):\n    return criterion(x, y) + x.abs().mean()"),
    ("a distance is no model", OUTPUT, "def f(x, y, distance_fn):\n    return distance_fn(x, y) + x.mean()"),
    ("calls a parameter", MODEL, "def f(critic, real):\n    return -critic(real).mean()"),
    ("calls an odd parameter", MODEL, "def f(phi, x):\n    return (phi(x) - x).pow(2).mean()"),
    ("calls a module's model", MODEL, "def f(x):\n    return (netG(x) - x).pow(2).mean()"),
    ("goes over parameters", MODEL, "def f(model):\n    return sum(p.pow(2).sum() for p in model.parameters())"),
    ("hands a model on", MODEL, "def f(diffusion, net, x):\n    return diffusion.term(net, x) * 2 + x.mean()"),
    ("calls a framework's rnn", OUTPUT, "import tensorflow as tf\ndef f(x, y):\n    h = tf.nn.rnn(x)\n    return tf.reduce_mean((h - y) ** 2)"),
    ("backward and step", "task_structure", "def f(x, y):\n    loss = (x - y).mean()\n    loss.backward()\n    optimizer.step()\n    return loss"),
    ("backward, nothing returned", "task_structure", "def f(x, y):\n    loss = (x - y).mean()\n    loss.backward()"),
    ("a tape's step", "task_structure", "def f(x, y):\n    with tf.GradientTape() as t:\n        loss = (x - y) ** 2\n    g = t.gradient(loss, w)\n    opt.apply_gradients(zip(g, w))\n    return loss"),
    ("a train op", "task_structure", "def f(x, y):\n    loss = (x - y) ** 2\n    return loss, opt.minimize(loss)"),
    ("backward, loss returned", OUTPUT, "def f(x, y):\n    loss = (x - y).mean()\n    loss.backward()\n    return loss"),
    ("a scheduler is no optimizer", OUTPUT, "def f(x, y):\n    scheduler.step()\n    return (x - y).mean()"),
    ("returns a nested function", "returns_loss_function", "def f(a):\n    def loss(x, y):\n        return a * (x - y) ** 2\n    return loss"),
    ("returns a lambda", "returns_loss_function", "def f(a):\n    return lambda x, y: a * (x - y) ** 2"),
    ("returns one of several", "returns_loss_function", "def a(x):\n    return x\ndef f(name):\n    if name == 'a':\n        return a, a\n    raise ValueError"),
    ("returns a criterion", "returns_loss_function", "import torch.nn as nn\ndef f(w):\n    criterion = nn.MSELoss()\n    return criterion"),
    ("returns a partial", "returns_loss_function", "from functools import partial\ndef f(w):\n    return partial(focal, w=w)"),
    ("returns what a function gave", OUTPUT, "def f(x, y):\n    def sq(z):\n        return z * z\n    return sq(x - y).mean()"),
    ("a gradient penalty", "gradient_calculation", "def f(d, x):\n    g, = torch.autograd.grad(d(x).sum(), x)\n    return g.pow(2).mean()"),
    ("gradients by name", "gradient_calculation", "def policy_gradient(a, b):\n    return a.T @ b - b"),
    ("loss beside gradients", OUTPUT, "def f(x, y):\n    loss = ((x - y) ** 2).sum()\n    g = torch.autograd.grad(loss, x)\n    return loss, g"),
    ("evaluates by name", "evaluation", "def evaluate(x, y):\n    return ((x - y) ** 2).mean()"),
    ("test over data", "evaluation", "def test(net, data):\n    return sum((net(x) - y).pow(2) for x, y in data)"),
    ("evaluation mode", "evaluation", "def f(model, x):\n    model.eval()\n    return (model(x) - x).pow(2).mean()"),
    ("without gradients", "evaluation", "import torch\n@torch.no_grad()\ndef f(model, x):\n    return (model(x) - x).pow(2).mean()"),
    ("a number", "evaluation", "def f(x, y):\n    total = 0\n    total += ((x - y) ** 2).sum().item()\n    return total / len(x)"),
    ("an estimator's function", "tf_estimator", "import tensorflow as tf\ndef f(features, labels, mode):\n    loss = (features - labels) ** 2\n    return tf.estimator.EstimatorSpec(mode, loss=loss)"),
    ("takes rewards", "reinforcement", "def f(log_probs, rewards):\n    return -(log_probs * rewards).sum()"),
    ("builds layers", "other", "import tensorflow as tf\ndef create(x, y):\n    h = x @ tf.get_variable('w', [4])\n    return tf.reduce_mean((h - y) ** 2)"),
    ("layers of a loss", OUTPUT, "import tensorflow as tf\ndef mlm_loss(x, y):\n    h = x @ tf.get_variable('w', [4])\n    return tf.reduce_mean((h - y) ** 2)"),
    ("returns nothing of note", OUTPUT, "def f(x, y):\n    if x is None:\n        return {}\n    return ((x - y) ** 2).mean()"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("type_", "text"), [f[1:] for f in FUNCTIONS], ids=[f[0] for f in FUNCTIONS]
)
def test_the_type_of_a_function(type_, text):
    names = [line[4:].split("(")[0] for line in text.splitlines() if line.startswith("def ")]
    found = proposed(text, names[-1])
    assert found.type.value == type_, found.reason
    assert found.reason.endswith(".")


BODY = "    def term(self, x, y):\n        return ((x - y) ** 2).mean()\n"
CLASSES = [
    ("a sampler by base", "sampler", "from torch.utils.data import Sampler\nclass C(Sampler):\n"),
    ("a sampler by a base here", "sampler", "from torch.utils.data import Sampler\nclass B(Sampler):\n    pass\nclass C(B):\n"),
    ("a sampler by name", "sampler", "class LossAwareSampler:\n"),
    ("a hook", "hook", "from lightning import Callback\nclass C(Callback):\n"),
    ("a dataset", "dataset", "from torch.utils.data import Dataset\nclass C(Dataset):\n"),
    ("a quantizer", "quantizer", "import torch.nn as nn\nclass VectorQuantizerEMA(nn.Module):\n"),
    ("a distribution", "distribution", "class DiagonalGaussianDistribution:\n"),
    ("a diffusion is no gaussian", OUTPUT, "class GaussianDiffusion:\n"),
    ("an optimizer", "optimizer", "from torch.optim import Optimizer\nclass C(Optimizer):\n"),
    ("a test", "test", "import unittest\nclass C(unittest.TestCase):\n"),
    ("an estimator", "tf_estimator", "import tensorflow as tf\nclass C(tf.estimator.Estimator):\n"),
    ("a lightning module", "task_structure", "import pytorch_lightning as pl\nclass C(pl.LightningModule):\n"),
    ("a loss class", OUTPUT, "import torch.nn as nn\nclass FocalLoss(nn.Module):\n"),
    ("a class of no role", OUTPUT, "class Terms:\n"),
]  # fmt: skip


@pytest.mark.parametrize(("type_", "head"), [c[1:] for c in CLASSES], ids=[c[0] for c in CLASSES])
def test_the_type_of_a_method(type_, head):
    name = head.splitlines()[-1].removeprefix("class ").split("(")[0].rstrip(":")
    found = proposed(head + BODY, f"{name}.term")
    assert found.type.value == type_, found.reason


@pytest.mark.parametrize(
    ("path", "type_"),
    [
        ("tests/losses.py", "test"),
        ("pkg/test_losses.py", "test"),
        ("pkg/losses_test.py", "test"),
        ("test.py", OUTPUT),  # a script that evaluates, in most repositories
        ("latest.py", OUTPUT),
    ],
)
def test_files_of_tests(path, type_):
    assert proposed("def f(x, y):\n    return (x - y) ** 2", "f", path).type.value == type_


def test_a_reason_names_the_line_of_the_file():
    found = proposed("\n\ndef f(model, x):\n    y = 2 * x\n    return (model(x) - y).mean()", "f")
    assert found.reason == "Line 5 calls the model `model`."


SPECIAL = [
    ("nothing", set(), "def f(x, y):\n    return ((x - y) ** 2).mean()"),
    ("chosen by name", {"multiple_losses"}, "def f(x, y, kind):\n    if kind == 'l1':\n        loss = abs(x - y)\n    else:\n        loss = (x - y) ** 2\n    return loss"),
    ("chosen by a flag", {"multiple_losses"}, "def f(x, y, squared=True):\n    if squared:\n        return (x - y) ** 2\n    return abs(x - y)"),
    ("chosen by a setting", {"multiple_losses"}, "class C:\n    def f(self, x, y):\n        if self.kind == 'l1':\n            return abs(x - y)\n        elif self.kind == 'l2':\n            return (x - y) ** 2"),
    ("chosen by an enum", {"multiple_losses"}, "def f(self, x, y):\n    if self.kind is Kind.L1:\n        return abs(x - y)\n    return (x - y) ** 2"),
    ("chosen by match", {"multiple_losses"}, "def f(x, y, kind):\n    match kind:\n        case 'l1':\n            loss = abs(x - y)\n        case 'l2':\n            loss = (x - y) ** 2\n    return loss"),
    ("chosen out of a table", {"multiple_losses"}, "def f(x, y, kind):\n    return {'l1': abs(x - y), 'l2': (x - y) ** 2}[kind]"),
    ("only the reduction is chosen", set(), "def f(x, y, reduction):\n    loss = (x - y) ** 2\n    if reduction == 'mean':\n        return loss.mean()\n    elif reduction == 'sum':\n        return loss.sum()\n    return loss"),
    ("only the data decide", set(), "def f(x, y):\n    d = x - y\n    if d.dim() > 2:\n        return d.sum(1).pow(2)\n    return d.pow(2)"),
    ("a tuple", {"extra_metrics_returned"}, "def f(x, y):\n    loss = (x - y) ** 2\n    return loss, x.mean()"),
    ("a dictionary", {"extra_metrics_returned"}, "def f(x, y):\n    out = {'loss': (x - y) ** 2, 'kl': y}\n    return out"),
    ("a table that grows", {"extra_metrics_returned"}, "def f(x, y):\n    out = {}\n    out['mse'] = (x - y) ** 2\n    out['kl'] = y\n    return out"),
    ("backward", {"backward"}, "def f(x, y):\n    loss = (x - y) ** 2\n    loss.backward()\n    return loss"),
    ("a penalty", {"regularization"}, "def weight_decay(ws):\n    return sum(w.pow(2).sum() for w in ws)"),
    ("the gradient too", {"gradient_returned"}, "def f(x, y):\n    loss = (x - y) ** 2\n    g = torch.autograd.grad(loss, x)\n    return loss, g"),
    ("updated weights", {"optimizer_value_returned"}, "def f(x, y, ws):\n    loss = (x - y) ** 2\n    gs = torch.autograd.grad(loss, ws)\n    fast = [w - 0.1 * g for w, g in zip(ws, gs)]\n    return loss, fast"),
]  # fmt: skip


@pytest.mark.parametrize(("cases", "text"), [s[1:] for s in SPECIAL], ids=[s[0] for s in SPECIAL])
def test_special_cases(cases, text):
    method = text.startswith("class")
    name = "C.f" if method else text[4:].split("(")[0]
    found = proposed(text, name)
    assert found.type in (OUTPUT, MODEL), found
    assert found.special_cases == {SpecialCase(case) for case in cases}


def test_special_cases_are_of_standalone_losses_only():
    text = "def evaluate(x, y):\n    return (x - y) ** 2, y"
    assert proposed(text, "evaluate").special_cases == frozenset()


def test_every_sign_tells_a_type():
    signs = known_signs()
    assert {t for of_sign in signs.values() for t in of_sign.values()} <= set(UnknownType)
    assert {"base", "call", "class_word", "model_word", "gradient_call"} <= set(signs)
