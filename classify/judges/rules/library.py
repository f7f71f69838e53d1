"""What frameworks' own functions and classes do, by their dotted names."""

from __future__ import annotations

import re
from enum import Enum
from functools import cache

from classify.judges.rules.words import vocabulary, words

_FRAMEWORKS = vocabulary(
    "torch tensorflow keras tf nn tensorlayer tflearn mxnet chainer jax flax optax theano paddle"
    " lasagne fastai torch_geometric pytorch_lightning lightning torchvision slim layers"
    " functional haiku sonnet tensorflow_probability monai"
)
_LOSS_FUNCTION = re.compile(
    r"(.*_)?(loss(_v2)?|cross_?entropy(_v2)?|cross_?entropy_with_logits(_v2)?|crossentropy"
    r"|kl_div|kl_divergence|sequence_loss_by_example|nll|hinge|mse|mean_squared_error"
    r"|mean_absolute_error|kullback_leibler_divergence|sequence_loss|mean_pairwise_squared_error"
    r"|softmax_cross_entropy_with_integer_labels|MSE|MAE|MSLE|mae)"
)
_LOSS_CLASS = re.compile(
    r"([A-Z]\w*)?(Loss|LogLoss)|(Binary|Categorical|SparseCategorical)Crossentropy"
    r"|Mean(Squared|Absolute)Error|(Squared)?Hinge|Huber|KLDivergence|KLD|CosineSimilarity"
)
_ELEMENTWISE = re.compile(
    r".*_with_logits(_v2)?|nce_loss|sampled_softmax_loss|ctc_loss|sequence_loss_by_example"
    r"|log_poisson_loss|.*softmax_cross_entropy_with_integer_labels"
)
_KERAS_FUNCTION = re.compile(r"(.*\.)?(keras\.(losses|backend|objectives|metrics))\.[a-z_]+$")
# TensorFlow 2 calls keras.losses tf.losses; these names TensorFlow 1 did not have
_KERAS_NAME = re.compile(
    r"(binary|categorical|sparse_categorical)_crossentropy|mse|mae|MSE|MAE|MSLE"
)
_MAX_LENGTH = 150
"""Characters of a dotted name; no framework has longer ones, and the patterns stay fast."""
_WEIGHTED = re.compile(
    r"(Lazy)?(Linear|Bilinear|Conv\w*|LSTM\w*|GRU\w*|RNN\w*|Embedding\w*|\w*Norm(\d?d)?|Dense"
    r"|Transformer\w*|MultiheadAttention|\w*Cell|get_variable|Variable)"
)
_NETWORK = vocabulary(
    "discriminator generator encoder decoder net network model backbone extractor vgg resnet unet"
    " lpips bert inception"
)
_LAYER_HOMES = re.compile(
    r"(torch\.)?nn\.(modules\.\w+\.)?[A-Z]\w*"
    r"|.*(keras|tf|tensorflow|layers|contrib|torch_geometric|dgl)(\.\w+)*\.(layers?|nn|conv)"
    r"(\.\w+)*\.[A-Z]\w*"
    r"|.*\.layers\.[a-z]\w*|layers\.[A-Za-z]\w*"
    r"|.*(slim|tflearn|tensorlayer|tl|arg_scope)\.\w*(conv|fully_connected|dense|batch_norm|pool)"
    r"\w*|.*rnn(_cell)?(\.\w+)*\.\w*(Cell|Wrapper)\w*|.*\.legacy_seq2seq\.\w*(rnn|seq2seq)\w*"
    r"|.*(tensorflow|tf)\.(\w+\.)*(get_variable|Variable)"
    r"|.*\bnn\.(Parameter|parameter\.Parameter)|.*(hub)\.(Module|KerasLayer)"
    r"|.*(tensorflow|tf)\.(\w+\.)*nn\.(conv\w*|depthwise_conv\w*|separable_conv\w*|dynamic_rnn"
    r"|static_rnn|bidirectional_dynamic_rnn|embedding_lookup|xw_plus_b|rnn|atrous_conv2d"
    r"|max_pool\w*|avg_pool\w*|raw_rnn|relu_layer|lrn|fused_batch_norm|batch_normalization)"
)
_LAYER_NAME = re.compile(
    r"conv|dense|linear|lstm|gru\b|rnn|embed|norm\d?$|pool|layer|block|resid|attention|fc\b|^fc"
    r"|fully_connected|upsample|downsample|mlp|bottleneck"
)
_MODELS = re.compile(
    r".*(keras|models|applications|torchvision)(\.\w+)*\.(Sequential|Model|resnet\w*|vgg\w*|VGG\w*"
    r"|ResNet\w*|inception\w*|Inception\w*|alexnet|densenet\w*|MobileNet\w*|mobilenet\w*)"
    r"|(transformers|pytorch_transformers|pytorch_pretrained_bert)\.\w+(Model|For\w+)"
    r"(\.from_pretrained)?"
)
_MODULE_BASES = vocabulary(
    "Module Model Layer LightningModule RNNCell LayerRNNCell RNNCellBase Chain AbstractModule"
    " PreTrainedModel MessagePassing HybridBlock Block Sequential Network BertPreTrainedModel"
    " ScriptModule BaseLayer GRUCell LSTMCell BasicLSTMCell AbstractRNNCell ModelMixin DGLModel"
    " KerasModel NeuralNetwork Linear Conv2d Conv1d Conv3d ConvTranspose2d Embedding LayerNorm"
    " BatchNorm2d GroupNorm LSTM GRU ResNet VGG Wrapper Dense Conv2D Bidirectional RNN"
)
_NEVER_MODELS = vocabulary(
    "Function Dataset IterableDataset TestCase Optimizer Metric Callback Sampler DataLoader"
    " Loss _Loss _WeightedLoss Distribution TorchDistribution LightningDataModule DatasetBuilder"
    " InMemoryDataset Sequence Exception Enum NamedTuple LearningRateSchedule _LRScheduler"
    " LRScheduler Regularizer Constraint Initializer Action ArgumentParser Hook SessionRunHook"
    " Env Thread Process GeneratorBasedBuilder object_detection BatchSampler PTQ"
)


_BARE = vocabulary(
    "len range int abs min max sum enumerate zip list tuple dict reversed isinstance bool round pow"
    " rearrange reduce repeat einsum partial log exp square sqrt norm Variable softplus relu"
    " sigmoid softmax mean_flat meanflat shape_list"
)


class Does(Enum):
    """What a framework's function does with the values it is given."""

    KEEPS = "keeps"
    """Changes shape, type or place, or picks out of a value."""
    ACTIVATES = "activates"
    """An activation of a network: keeps the value, and makes a hinge of a shifted one."""
    REDUCES = "reduces"
    SUMS = "sums"
    """Adds up the elements of a collection."""
    TRANSFORMS = "transforms"
    """A non-linear function of one value, as loss formulas are made of."""
    SUBTRACTS = "subtracts"
    COMBINES = "combines"
    """Arithmetic between two values."""
    MEASURES = "measures"
    """A size or another number which training does not change."""
    LOGS = "logs"
    """Turns a tensor into a number outside of the graph."""


_TABLE: dict[Does, str] = {
    Does.KEEPS: (
        "view reshape squeeze unsqueeze permute transpose t contiguous to cuda cpu double half"
        " type type_as expand expand_as repeat flatten cast convert_to_tensor to_float identity"
        " slice gather index_select masked_select narrow chunk split check_numerics as_tensor"
        " requires_grad_ Variable asarray array stack cat concat concatenate pad where tile"
        " boolean_mask Print rearrange nan_to_num expand_dims batch_flatten unbind select copy"
        " gather_nd detach clone float scale stop_gradient zip list tuple dict reversed enumerate"
        " values items get pop tolist_ hstack vstack ravel sort topk unstack astype bfloat16 sg"
        " partial negative neg guarantee_const ensure_shape masked_fill masked_fill_ scatter_"
    ),
    Does.ACTIVATES: (
        "relu relu_ sigmoid tanh softmax log_softmax clamp clamp_ clamp_min clip clip_by_value"
        " leaky_relu elu maximum minimum max min threshold hard_sigmoid"
    ),
    Does.REDUCES: (
        "mean sum reduce_mean reduce_sum average nanmean reduce_max reduce_min prod trapezoid"
        " trace flat_mean mean_flat meanflat compute_average_loss reduce trapz cumsum nansum"
    ),
    Does.SUMS: "add_n accumulate_n fsum",
    Does.TRANSFORMS: (
        "log exp square pow abs sqrt norm log1p expm1 logsumexp reduce_logsumexp softplus"
        " logsigmoid log_sigmoid rsqrt absolute log10 log2 lgamma reduce_euclidean_norm abs_ pow_"
        " square_ sqr log_ exp_ xlogy cdist pairwise_distance cosine_similarity dist hypot"
        " squared_difference total_variation erf power frobenius_norm triplet_margin"
    ),
    Does.SUBTRACTS: "sub subtract sub_ rsub",
    Does.COMBINES: (
        "add mul multiply div divide truediv divide_no_nan dot inner add_ mul_ div_ addcmul"
        " scalar_mul true_divide floordiv einsum matmul mm bmm"
    ),
    Does.MEASURES: (
        "size numel shape len range int ndimension dim element_size get_shape as_list nelement"
        " static_shape shape_list zeros ones zeros_like ones_like full full_like arange linspace"
        " constant time ceil floor count_nonzero is_available get_world_size device_count round"
        " eye empty isnan isinf isfinite pi bool isinstance hasattr"
    ),
    Does.LOGS: "item numpy tolist eval run float_ asscalar result asnumpy mutable_data",
}
_DOES = {name: does for does, names in _TABLE.items() for name in names.split()}


@cache
def does(name: str) -> Does | None:
    """Return what a framework's function or a tensor's method of this name does."""
    return _DOES.get(name)


@cache
def is_bare(name: str) -> bool:
    """Say whether a function of this name is known even where no import tells its home."""
    return name in _BARE


@cache
def is_framework(dotted: str) -> bool:
    """Say whether a dotted name belongs to a numerical framework."""
    head = dotted.partition(".")[0]
    if "(" in dotted or "[" in dotted:  # a method of what a call returns
        return False
    return head in _FRAMEWORKS or head in ("numpy", "np", "math", "cupy", "einops", "K", "T", "F")


@cache
def is_loss_function(dotted: str) -> bool:
    """Say whether a dotted name is a framework's ready-made loss function."""
    head, _, last = dotted.rpartition(".")
    if not head or not _in_framework(dotted):
        return False
    return bool(_LOSS_FUNCTION.fullmatch(last)) and not last[:1].isupper()


@cache
def is_loss_class(dotted: str) -> bool:
    """Say whether a dotted name is a framework's loss class (``torch.nn.MSELoss``)."""
    head, _, last = dotted.rpartition(".")
    return bool(head) and _in_framework(dotted) and bool(_LOSS_CLASS.fullmatch(last))


@cache
def is_elementwise(dotted: str) -> bool:
    """Say whether a loss function gives one value for each example or element, unreduced."""
    last = dotted.rpartition(".")[2]
    if _KERAS_NAME.fullmatch(last) and "torch" not in dotted:
        return True
    if "losses" in dotted.split(".")[:-1] and "keras" not in dotted:
        return False
    if dotted.startswith("torch"):
        return False
    return bool(_ELEMENTWISE.fullmatch(last) or _KERAS_FUNCTION.match(dotted))


@cache
def is_layer(dotted: str) -> bool:
    """Say whether calling a dotted name makes a layer, a weight or a graph's layer operation."""
    if len(dotted) > _MAX_LENGTH or dotted.endswith("DataParallel"):
        return False
    if is_loss_class(dotted) or is_loss_function(dotted):
        return False
    return bool(_LAYER_HOMES.fullmatch(dotted) or _MODELS.fullmatch(dotted))


@cache
def has_weights(dotted: str) -> bool:
    """Say whether a layer holds weights; activations, pooling and containers do not."""
    ready = bool(_MODELS.fullmatch(dotted))
    return ready or (is_layer(dotted) and bool(_WEIGHTED.fullmatch(dotted.rpartition(".")[2])))


@cache
def names_network(dotted: str) -> bool:
    """Say whether a class from elsewhere is called like a network (``PatchDiscriminator``)."""
    name = dotted.rpartition(".")[2]
    return name[:1].isupper() and not _NETWORK.isdisjoint(words(name))


@cache
def names_layer(name: str) -> bool:
    """Say whether a function is called like a layer: ``conv2d``, ``linear``, ``lrelu_block``."""
    return bool(_LAYER_NAME.search(name.lower()))


@cache
def is_module_base(dotted: str) -> bool:
    """Say whether a class from outside the repository is a network's base class."""
    return dotted.rpartition(".")[2] in _MODULE_BASES


@cache
def is_never_model(dotted: str) -> bool:
    """Say whether subclasses of an outside class are no networks, whatever they compute."""
    last = dotted.rpartition(".")[2]
    return last in _NEVER_MODELS or last.endswith(("TestCase", "Dataset", "Callback", "Hook"))


def _in_framework(dotted: str) -> bool:
    return not _FRAMEWORKS.isdisjoint(dotted.split(".")[:-1])
