from tensorflow.compat import v1 as tf


class Layer(object):
  _count = 0

  def __init__(self, name=None):
    Layer._count += 1
    self.name = name or '%s_%d' % (self.__class__.__name__.lower(), Layer._count)
    self.weights = {}

  def __call__(self, h):
    with tf.name_scope(self.name):
      return self._call(h)


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
      kept = tf.cast(tf.floor(self.keep + tf.random_uniform([self.nnz])), tf.bool)
      h = tf.sparse_retain(h, kept) / self.keep
    else:
      h = tf.nn.dropout(h, rate=1 - self.keep)
    mul = tf.matmul if self.nnz is None else tf.sparse_tensor_dense_matmul
    return self.act(tf.sparse_tensor_dense_matmul(self.support, mul(h, self.weights['w'])))
