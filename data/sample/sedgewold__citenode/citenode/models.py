from tensorflow.compat import v1 as tf

from citenode.layers import *
from citenode.masked import masked_accuracy, masked_xent, laplacian_smoothness, sharpen_kl


class NodeModel(object):
  def __init__(self, ph, flags):
    self.ph, self.flags = ph, flags
    self.layers = []
    self.loss = self.accuracy = self.train_op = None

  def build(self):
    self.add_layers()
    h = self.ph['features']
    for layer in self.layers:
      h = layer(h)
    self.logits = h
    self.prob = tf.nn.softmax(h)
    self.add_loss()
    self.accuracy = masked_accuracy(self.logits, self.ph['labels'], self.ph['mask'])
    self.train_op = tf.train.AdamOptimizer(self.flags.lr).minimize(self.loss)
    return self

  def add_layers(self):
    raise NotImplementedError

  def add_loss(self):
    self.loss = masked_xent(self.logits, self.ph['labels'], self.ph['mask'])


class GCN(NodeModel):
  def add_layers(self):
    p, f = self.ph, self.flags
    self.layers = [
        GraphConv(f.n_feat, f.hidden, p['support'], p['keep'], sparse_nnz=p['nnz']),
        GraphConv(f.hidden, f.n_class, p['support'], p['keep'], act=tf.identity)]

  def add_loss(self):
    super(GCN, self).add_loss()
    # first layer only, as everybody does
    self.loss += self.flags.decay * tf.nn.l2_loss(self.layers[0].weights['w'])


class SmoothGCN(GCN):
  """Two more terms which also reach the unlabelled nodes."""

  def add_loss(self):
    super(SmoothGCN, self).add_loss()
    if self.flags.regularizer == 'laplace':
      self.loss += self.flags.gamma * laplacian_smoothness(self.prob, self.ph['edges'])
    elif self.flags.regularizer == 'sharpen':
      self.loss += self.flags.gamma * sharpen_kl(self.prob)
