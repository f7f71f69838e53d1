from tensorflow.compat import v1 as tf

_ids = {}


def uid(prefix):
  _ids[prefix] = _ids.get(prefix, 0) + 1
  return '%s_%d' % (prefix, _ids[prefix])


def dot(a, b, sparse=False):
  return tf.sparse_tensor_dense_matmul(a, b) if sparse else tf.matmul(a, b)


def sparse_dropout(x, keep, nnz):
  mask = tf.cast(tf.floor(keep + tf.random_uniform([nnz])), tf.bool)
  return tf.sparse_retain(x, mask) / keep


class Layer(object):
  def __init__(self, name=None):
    self.name = name or uid(self.__class__.__name__.lower())
    self.weights = {}

  def __call__(self, h):
    with tf.name_scope(self.name):
      return self._call(h)

  def _call(self, h):
    return h


class GraphConv(Layer):
  """act(A h W). One support, renormalised outside."""

  def __init__(self, n_in, n_out, support, keep, act=tf.nn.relu, sparse_nnz=None, **kw):
    super(GraphConv, self).__init__(**kw)
    self.support, self.keep, self.act, self.nnz = support, keep, act, sparse_nnz
    with tf.variable_scope(self.name):
      self.weights['w'] = tf.get_variable(
          'w', [n_in, n_out], initializer=tf.glorot_uniform_initializer())

  def _call(self, h):
    if self.nnz is not None:
      h = sparse_dropout(h, self.keep, self.nnz)
    else:
      h = tf.nn.dropout(h, rate=1 - self.keep)
    h = dot(h, self.weights['w'], sparse=self.nnz is not None)
    return self.act(dot(self.support, h, sparse=True))


class PairNorm(Layer):
  def __init__(self, scale=1., **kw):
    super(PairNorm, self).__init__(**kw)
    self.scale = scale

  def _call(self, h):
    h = h - tf.reduce_mean(h, 0, keepdims=True)
    return self.scale * h / tf.sqrt(1e-6 + tf.reduce_mean(tf.reduce_sum(h * h, 1)))
