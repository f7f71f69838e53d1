"""Tables of cases: does the snippet ``f`` (or the loop, or ``M.f``) calculate a loss itself?"""

import pytest

from classify.judges.rules import Ruling, rule
from classify.questions import Question
from mining.code import RepositoryCode
from mining.records import Kind

TORCH = "import torch\nimport torch.nn as nn\nimport torch.nn.functional as F\n"
TF = "import tensorflow as tf\n"


def asked(code: str) -> Ruling:
    """Ask about the function that is called f or forward, or else about the loop."""
    repository = RepositoryCode("o/r", None, {"m.py": code})
    snippets = repository.extractions["m.py"].snippets
    wanted = [s for s in snippets if s.qualname.rpartition(".")[2] in ("f", "forward")]
    wanted += [s for s in snippets if s.kind is Kind.LOOP]
    return rule(Question.LOSS_DEFINITION, wanted[0], repository)


USAGE = {
    "one library loss": TORCH + "def f(x, y):\n    loss = F.mse_loss(x, y)\n    return loss\n",
    "a criterion that is given": "def f(criterion, x, y):\n    return criterion(x, y)\n",
    "a criterion made here": TORCH
    + "def f(x, y):\n    c = nn.BCELoss()\n    l = c(x, y)\n    l.backward()\n",
    "a step with a library loss": TORCH
    + """
def f(model, opt, x, y):
    opt.zero_grad()
    loss = F.cross_entropy(model(x), y)
    loss.backward()
    opt.step()
    return loss.item()
""",
    "numbers added up for a report": TORCH
    + """
def f(model, loader, criterion):
    total_loss = 0
    for x, y in loader:
        loss = criterion(model(x), y)
        loss.backward()
        total_loss += loss.item() * x.size(0)
    return total_loss / len(loader)
""",
    "tensors added up for a report": TORCH
    + """
def f(model, loader, criterion):
    test_loss = 0
    for x, y in loader:
        test_loss += criterion(model(x), y)
    test_loss /= len(loader.dataset)
    return test_loss
""",
    "divided by the steps of accumulation": TORCH
    + """
def f(model, x, accumulation_steps):
    loss = model(x)
    loss = loss / accumulation_steps
    loss.backward()
""",
    "the mean of a loss that a function of the repository gives": TF
    + "def f(model, x):\n    losses = model.training_losses(x)\n"
    "    return {'loss': tf.reduce_mean(losses)}\n",
    "the mean over devices": TORCH + "def f(self):\n    torch.mean(self.loss_total).backward()\n",
    "a loss run in a session": TF
    + """
def f(sess, model, batches):
    avg_cost = 0.
    for batch in batches:
        _, c = sess.run([model.train_op, model.cost], {model.x: batch})
        avg_cost += c / len(batches)
    return avg_cost
""",
    "the network's own arithmetic": TORCH
    + """
def f(self, x, y):
    h = (x - self.mean) / self.std
    h = h * self.gate(h) + x
    return F.cross_entropy(self.head(h), y)
""",
    "an accuracy": TORCH
    + "def f(p, y):\n    error = (p.argmax(1) != y).float().mean()\n    return 1 - error\n",
    "a loss in mixed precision": TORCH
    + "def f(model, scaler, x):\n    loss = model(x)\n    scaler.scale(loss).backward()\n",
    "the same criterion in both arms": """
def f(criterion, x, y, cuda):
    if cuda:
        loss = criterion(x.cuda(), y.cuda())
    else:
        loss = criterion(x, y)
    return loss
""",
    "settings of a layer": """
def f(self):
    config = {'kernel_regularizer': self.kernel_regularizer, 'units': self.units}
    base = super().get_config()
    return dict(list(base.items()) + list(config.items()))
""",
    "lists of losses": """
def f(self):
    losses = []
    for layer in self.layers:
        losses += layer.losses
    return losses + self.own_losses
""",
    "a weight of a loss": "def f(sigma, data):\n"
    "    loss_weight = (sigma ** 2 + data ** 2) / (sigma * data) ** 2\n    return loss_weight\n",
    "a difference for early stopping": """
def f(trainer, prev_loss):
    loss = trainer.step()
    improvement = prev_loss - loss
    return improvement > 0
""",
    "losses reduced over workers": """
def f(loss_dict):
    losses = torch.stack([loss_dict[k] for k in sorted(loss_dict)])
    losses /= get_world_size()
    return losses
""",
    "labels written as one hot": TORCH
    + "def f(x, y):\n    t = torch.zeros_like(x).scatter_(1, y, 1.0)\n"
    "    return F.binary_cross_entropy(x, t)\n",
    "an optimiser's own step": """
def f(self, params, grads, lr):
    for p, g, m in zip(params, grads, self.ms):
        new_p = p - lr * (m - g)
        p.assign(new_p)
""",
    "an empty function": "def f(loss):\n    pass\n",
}

DEFINITION = {
    "two losses with a weight": TORCH
    + "def f(x, y, z, beta):\n    return F.mse_loss(x, y) + beta * F.l1_loss(x, z)\n",
    "a loss with a regulariser": TF
    + """
def f(logits, y, w):
    xent = tf.reduce_mean(tf.nn.softmax_cross_entropy_with_logits(labels=y, logits=logits))
    return xent + 1e-4 * tf.nn.l2_loss(w)
""",
    "a squared difference": TF
    + """
def f(self):
    self.cost = tf.reduce_mean(tf.square(self.x - self.y))
    self.op = tf.train.AdamOptimizer().minimize(self.cost)
""",
    "by methods of tensors": "def f(a, b):\n    loss = a.sub(b).pow(2).mean()\n    return loss\n",
    "by functions of a framework": TF
    + "def f(a, b):\n    loss = tf.multiply(a, tf.subtract(a, b))\n    return loss\n",
    "KL divergence by its formula": TORCH
    + "def f(mu, logvar):\n    kld = -0.5 * torch.sum(1 + logvar - mu.pow(2) - logvar.exp())\n"
    "    return kld\n",
    "a Wasserstein loss": TORCH
    + "def f(D, fake, opt):\n    g = -D(fake).mean()\n    g.backward()\n    opt.step()\n",
    "a hinge loss": TORCH
    + "def f(real):\n    d_loss = F.relu(1. - real).mean()\n    return d_loss\n",
    "a soft-plus loss": TORCH + "def f(p):\n    loss = F.softplus(-p).mean()\n    return loss\n",
    "a mask": TF
    + """
def f(preds, labels, mask):
    loss = tf.nn.sigmoid_cross_entropy_with_logits(logits=preds, labels=labels)
    loss *= mask
    return loss
""",
    "a reduction": TF + "def f(x, y):\n    return tf.reduce_mean(\n"
    "        tf.nn.sparse_softmax_cross_entropy_with_logits(labels=y, logits=x))\n",
    "a reduction in PyTorch": TORCH
    + "def f(x, y):\n    loss = F.cross_entropy(x, y, reduction='none')\n    return loss.mean()\n",
    "a reduction by a criterion that is kept": TORCH
    + """
class M(nn.Module):
    def __init__(self):
        self.crit = nn.MSELoss(reduction='none').cuda()

    def f(self, x, y):
        loss = self.crit(x, y).mean()
        return loss
""",
    "the mean by hand": TORCH + "def f(x, y):\n"
    "    loss = F.binary_cross_entropy(x, y, reduction='sum') / x.size(0)\n    return loss\n",
    "Keras functions under their name in TensorFlow 2": TF
    + "def f(x, y):\n    loss = tf.losses.categorical_crossentropy(y, x)\n"
    "    return tf.reduce_mean(loss)\n",
    "a branch between losses": TORCH
    + """
def f(kind, x, y):
    if kind == 'l1':
        return F.l1_loss(x, y)
    elif kind == 'l2':
        return F.mse_loss(x, y)
""",
    "a branch between values of losses": """
def f(self, a, b, kind):
    first_loss = self.loss(a)
    second_loss = self.loss(b)
    if kind:
        loss = first_loss
    else:
        loss = second_loss
    return loss
""",
    "a branch between criteria": TORCH
    + """
def f(args):
    if args.loss == 'l1':
        criterion = nn.L1Loss()
    else:
        criterion = nn.MSELoss()
    return criterion
""",
    "a conditional expression between losses": TORCH
    + "def f(x, y, l1):\n    return F.l1_loss(x, y) if l1 else F.mse_loss(x, y)\n",
    "a loss summed over time and propagated": TORCH
    + """
def f(cell, criterion, xs, ys, optimizer):
    loss = 0
    for x, y in zip(xs, ys):
        loss += criterion(cell(x), y)
    loss.backward()
    optimizer.step()
""",
    "losses collected and summed": TORCH
    + """
def f(policy, batch):
    losses = []
    for log_prob, reward in batch:
        losses.append(-log_prob * reward)
    torch.stack(losses).sum().backward()
""",
    "model losses added": TF
    + """
def f(model, loss_fn, x, y):
    with tf.GradientTape() as tape:
        loss = loss_fn(y, model(x)) + sum(model.losses)
    return tape.gradient(loss, model.trainable_variables)
""",
    "a sum by add_n": TF + "def f(loss):\n    tf.add_to_collection('losses', loss)\n"
    "    total_loss = tf.add_n(tf.get_collection('losses') + [loss])\n    return total_loss\n",
    "a gradient penalty": TORCH
    + """
def f(D, x):
    grad = torch.autograd.grad(D(x).sum(), x, create_graph=True)[0]
    gradient_penalty = ((grad.norm(2, dim=1) - 1) ** 2).mean()
    return gradient_penalty
""",
    "contrastive divergence": TF
    + """
class RBM(object):
    def f(self, visible, learning_rate):
        hidden = self.propup(visible)
        seen = self.propdown(hidden)
        positive = tf.matmul(tf.transpose(visible), hidden)
        negative = tf.matmul(tf.transpose(seen), self.propup(seen))
        return self.weights.assign_add(learning_rate * (positive - negative))
""",
    "contrastive divergence in NumPy": """
import numpy as np
class RBM:
    def f(self, v0, vk, h0, hk):
        self.W += self.lr * (np.dot(v0.T, h0) - np.dot(vk.T, hk))
""",
    "a nested function": TORCH
    + "def f():\n    def loss_fn(a, b):\n        return (a - b).abs().mean()\n    return loss_fn\n",
    "a lambda": TORCH + "def f(opt, a, b):\n    opt.minimize(lambda: torch.mean((a - b) ** 2))\n",
    "a method of a loss class": TORCH
    + """
class DiceLoss(nn.Module):
    def forward(self, x, y):
        return 1 - 2 * (x * y).sum() / (x + y).sum()
""",
    "targets smoothed by hand": TORCH
    + """
def f(x, y, smoothing):
    spread = torch.full_like(x, smoothing / 10)
    spread.scatter_(1, y.unsqueeze(1), 1 - smoothing)
    return F.kl_div(x, spread)
""",
    "a criterion that another one may replace": TORCH
    + """
def f(weighted):
    criterion = nn.L1Loss()
    if weighted:
        criterion = nn.MSELoss()
    return criterion
""",
    "logarithms in Python 2": """
import numpy as np
def f(p, y):
    loss = -np.mean(y * np.log(p) + (1 - y) * np.log(1 - p))
    print "loss", loss
    return loss
""",
}


@pytest.mark.parametrize("code", USAGE.values(), ids=USAGE.keys())
def test_usage_is_no_definition(code: str) -> None:
    assert asked(code).decision is False


@pytest.mark.parametrize("code", DEFINITION.values(), ids=DEFINITION.keys())
def test_definition(code: str) -> None:
    ruling = asked(code)
    assert ruling.decision is True
    assert ruling.lines and all(str(line) in ruling.reason for line in ruling.lines)


def test_a_loop_sees_what_the_module_binds() -> None:
    code = TORCH + "crit = nn.MSELoss(reduction='none')\n"
    code += "for x, y in data:\n    loss = crit(x, y).mean()\n"
    assert asked(code).decision is True
    assert asked(code.replace("(reduction='none')", "()")).decision is False


def test_arithmetic_outside_of_the_snippet_does_not_count() -> None:
    code = TORCH + "loss = F.mse_loss(a, b) + F.l1_loss(a, b)\n\n\ndef f():\n    return loss\n"
    assert asked(code).decision is False


@pytest.mark.parametrize(
    ("statement", "name"),
    [
        ("import torch.nn.functional as G", "G.mse_loss"),
        ("from torch.nn import functional", "functional.mse_loss"),
        ("from torch.nn.functional import mse_loss as distance", "distance"),
        ("import torch", "torch.nn.functional.mse_loss"),
        ("from torch import nn\nG = nn.functional", "G.mse_loss"),
        ("import tensorflow.compat.v1 as tf", "tf.nn.sigmoid_cross_entropy_with_logits"),
    ],
)
@pytest.mark.parametrize("inside", [False, True])
def test_a_ready_made_loss_is_known_by_its_import(statement: str, name: str, inside: bool) -> None:
    lines = statement.splitlines()
    if inside and len(lines) == 1:
        code = f"def f(x, y, z):\n    {statement}\n    return {name}(x, y) + {name}(x, z)\n"
    else:
        code = f"{statement}\n\n\ndef f(x, y, z):\n    return {name}(x, y) + {name}(x, z)\n"
    assert asked(code).decision is True


def test_a_function_is_known_as_a_loss_by_what_its_caller_does() -> None:
    distance = "def f(a, b):\n    return (a - b).abs().mean()\n"
    caller = "\n\ndef step(net, x, y):\n    d = f(net(x), y)\n    d.backward()\n"
    assert asked(distance).decision is False
    assert asked(distance + caller).decision is True


def test_only_the_part_of_the_result_that_is_minimised_is_a_loss() -> None:
    code = "def f(a, b):\n    return a, (a - b).abs().mean()\n\n\ndef step(x, y):\n"
    assert asked(code + "    _, d = f(x, y)\n    d.backward()\n").decision is True
    assert asked(code + "    d, _ = f(x, y)\n    d.backward()\n").decision is False


@pytest.mark.parametrize(
    ("path", "definition"),
    [
        ("losses.py", True),
        ("criterions/pairs.py", True),
        ("gan/gan_loss.py", True),
        ("layers.py", False),
        ("tests/test_losses.py", False),
        ("plot_losses.py", False),
        ("loss_scaler.py", False),
    ],
)
@pytest.mark.parametrize(
    "body", ["F.softplus(-a).mean() + F.softplus(b).mean()", "a.mean() - b.mean()", "-a.mean()"]
)
def test_what_a_file_of_losses_reduces_to_a_number_is_one(
    path: str, definition: bool, body: str
) -> None:
    code = RepositoryCode("o/r", None, {path: TORCH + f"def f(a, b):\n    return {body}\n"})
    snippet = code.extractions[path].snippets[0]
    assert rule(Question.LOSS_DEFINITION, snippet, code).decision is definition


@pytest.mark.parametrize(
    "use",
    [
        "model.compile(loss=f)",
        "LOSSES = {'d': f}",
        "criteria = {'d': f}\nloss_fn = f",
        "def get_loss(name):\n    return f, None",
        "def training_step(batch):\n    return f(*batch)",
        "criterion = partial(f, b=2)",
    ],
)
def test_a_function_that_is_given_as_a_loss_is_one(use: str) -> None:
    distance = "def f(a, b):\n    return (a - b).abs().mean()\n"
    assert asked(distance).decision is False
    assert asked(f"{distance}\n\n{use}\n").decision is True


@pytest.mark.parametrize(("name", "found"), [("cd1_gradients", True), ("differences", False)])
def test_two_phases_that_a_function_returns_for_an_update(name: str, found: bool) -> None:
    text = f"def {name}(v0, vk, h0, hk):\n    return v0.T.dot(h0) - vk.T.dot(hk)\n"
    code = RepositoryCode("o/r", None, {"cd_numpy.py": text})
    snippet = code.extractions["cd_numpy.py"].snippets[0]
    assert rule(Question.LOSS_DEFINITION, snippet, code).decision is found


@pytest.mark.parametrize(("end", "found"), [("", True), (".item()", False)])
def test_an_error_that_only_leaves_the_graph_is_a_metric(end: str, found: bool) -> None:
    text = f"def recon_error(a, b):\n    return (a - b).pow(2).mean(){end}\n"
    code = RepositoryCode("o/r", None, {"m.py": text})
    snippet = code.extractions["m.py"].snippets[0]
    assert rule(Question.LOSS_DEFINITION, snippet, code).decision is found


def test_a_factory_chooses_among_functions_of_a_file_of_losses() -> None:
    losses = (
        "def near(a, b):\n    return (a - b).abs().mean()\ndef far(a, b):\n    return -a.mean()\n"
    )
    factory = "def f(name):\n    if name == 'near':\n        return near\n    return far\n"
    code = RepositoryCode("o/r", None, {"losses.py": losses + factory})
    snippet = code.extractions["losses.py"].snippets[-1]
    assert rule(Question.LOSS_DEFINITION, snippet, code).decision is True


def test_a_function_read_alone_is_no_loss_by_its_callers() -> None:
    text = (
        "def f(a, b):\n    return (a - b).abs().mean()\n\n\ndef g(x, y):\n    f(x, y).backward()\n"
    )
    code = RepositoryCode("o/r", None, {"m.py": text})
    snippet = code.extractions["m.py"].snippets[0]
    question = Question.LOSS_DEFINITION
    assert rule(question, snippet, code).decision is True
    assert rule(question, snippet, code, interprocedural=False).decision is False


@pytest.mark.parametrize(
    ("code", "related"),
    [
        ("def f(x):\n    return x + 1\n", False),
        ("def f(path):\n    return open(path).read()\n", False),
        ("def f(model):\n    model.train_loss = 0\n", True),
        ("def f(x):\n    x.mean().backward()\n", True),
        ("def f(opt, x):\n    return opt.minimize(x)\n", True),
        ("def f(logger, message):\n    logger.error(message)\n", False),
        (TORCH + "def f(x, y):\n    return F.kl_div(x, y)\n", True),
        ("def f(history):\n    print history['val_loss']\n", True),
    ],
)
def test_loss_related(code: str, related: bool) -> None:
    repository = RepositoryCode("o/r", None, {"m.py": code})
    snippet = repository.extractions["m.py"].snippets[0]
    assert rule(Question.LOSS_RELATED, snippet, repository).decision is related
