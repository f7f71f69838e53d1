import pytest

from mining.loss_hints import OWN, UNKNOWN, Suggestion, may_be_loss, suggestion, words

KNOWN = frozenset(["mse_loss", "CrossEntropyLoss"])


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("BCEWithLogitsLoss", "bce_with_logits_loss"),
        ("CrossEntropyLoss", "cross_entropy_loss"),
        ("NLLLoss2d", "nll_loss2d"),
        ("label_smoothed_nll_loss", "label_smoothed_nll_loss"),
        ("_Loss", "loss"),
        ("GANLoss", "gan_loss"),
        ("MSE", "mse"),
    ],
)
def test_words(name, expected):
    assert words(name) == expected


@pytest.mark.parametrize(
    ("library", "name", "expected"),
    [
        ("torch.nn.functional", "mse_loss", "known"),
        (OWN, "mse_loss", "known"),
        ("sklearn.metrics", "mse_loss", "known"),  # the gate cannot tell, a person can
        ("mxnet.gluon.loss", "SoftmaxCELoss", "likely"),
        ("torch.legacy.nn", "ClassNLLCriterion", "likely"),
        ("keras.losses", "MSE", "likely"),
        ("keras.losses", "log_cosh", "likely"),
        ("optax", "softmax_cross_entropy_with_integer_labels", "likely"),
        (OWN, "dice_loss", "likely"),
        (OWN, "normal_kl", "likely"),
        (OWN, "GradientPenalty", "likely"),
        (OWN, "MeanSquaredError", "likely"),
        (OWN, "discretized_gaussian_log_likelihood", "likely"),
        (OWN, "AutoencoderKL", "unlikely"),  # a model
        (OWN, "RESCALED_MSE", "unlikely"),  # a constant
        ("keras.losses.Reduction", "NONE", "unlikely"),
        (OWN, "compute_loss", "unlikely"),  # any variable is called so
        (UNKNOWN, "dice_loss", "unlikely"),
        ("sklearn.metrics", "zero_one_loss", "unlikely"),
        ("absl.flags.FLAGS", "finetune_loss", "unlikely"),
        ("apex.amp", "scale_loss", "unlikely"),
        (OWN, "LossScaleOptimizer", "unlikely"),
        ("taming.modules.losses", "NLayerDiscriminator", "unlikely"),
        (OWN, "plot_losses", "unlikely"),
        ("torch.distributions", "entropy_bonus", "unlikely"),
    ],
)
def test_suggestions(library, name, expected):
    form = "constructor" if name[0].isupper() and not name.isupper() else "function"
    assert may_be_loss(library, name, KNOWN)
    suggested, why = suggestion(library, name, form, KNOWN)
    assert suggested == Suggestion(expected)
    assert why


@pytest.mark.parametrize(
    ("library", "name"),
    [
        ("pickle", "load"),
        ("tensorflow.errors", "OutOfRangeError"),
        ("io", "BlockingIOError"),
        ("torch", "div"),
        ("zipfile", "BadZipFile"),
        ("os.path", "join"),
        (OWN, "glossary"),
        ("logging", "ERROR"),
    ],
)
def test_what_is_no_candidate(library, name):
    assert not may_be_loss(library, name, KNOWN)
