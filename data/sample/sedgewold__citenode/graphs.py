import numpy as np
import scipy.sparse as sp


def load_npz(path):
  z = np.load(path)
  n = len(z['labels'])
  adj = sp.coo_matrix((np.ones(len(z['edges'])), z['edges'].T), (n, n))
  adj = adj.maximum(adj.T)
  Y = np.eye(z['labels'].max() + 1)[z['labels']]
  masks = {k: np.isin(np.arange(n), z[k]) for k in ('train', 'val', 'test')}
  return adj, sp.csr_matrix(z['features']), Y, z['edges'], masks


def normalise(adj):
  """D^-1/2 (A + I) D^-1/2"""
  adj = adj + sp.eye(adj.shape[0])
  d = np.power(np.asarray(adj.sum(1)).ravel(), -.5)
  d[np.isinf(d)] = 0.
  return sp.diags(d).dot(adj).dot(sp.diags(d))


def to_sparse(m):
  m = m.tocoo()
  return np.stack([m.row, m.col], 1), m.data.astype(np.float32), m.shape
