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


def to_sparse(m, renormalise=False):
  """(indices, values, shape); with D^-1/2 (A + I) D^-1/2 on demand"""
  if renormalise:
    m = m + sp.eye(m.shape[0])
    d = sp.diags(np.power(np.asarray(m.sum(1)).ravel(), -.5))
    m = d.dot(m).dot(d)
  m = m.tocoo()
  return np.stack([m.row, m.col], 1), m.data.astype(np.float32), m.shape
