"""The algorithm without any framework, for the lecture."""
import numpy as np
from scipy.special import expit as sigm


def cd1_gradients(v0, W, a, b, rng):
    h0 = sigm(v0.dot(W) + b)
    s = (rng.uniform(size=h0.shape) < h0).astype(float)
    v1 = sigm(s.dot(W.T) + a)
    h1 = sigm(v1.dot(W) + b)
    return (v0.T.dot(h0) - v1.T.dot(h1)) / len(v0), (v0 - v1).mean(0), (h0 - h1).mean(0)


def log_z(W, a, b):
    """Exact partition function; 2**n_hid terms, do not try with more than 20."""
    n_hid = W.shape[1]
    H = (np.arange(2 ** n_hid)[:, None] >> np.arange(n_hid)) & 1
    t = H.dot(b) + np.log1p(np.exp(H.dot(W.T) + a)).sum(1)
    return t.max() + np.log(np.exp(t - t.max()).sum())


def bars(n, side=4, rng=np.random):
    X = np.zeros((n, side, side))
    for x in X:
        if rng.rand() < .5:
            x[rng.rand(side) < .5] = 1
        else:
            x[:, rng.rand(side) < .5] = 1
    return X.reshape(n, -1)


rng = np.random.RandomState(7)
X = bars(2000, rng=rng)
W, a, b = 0.01 * rng.randn(16, 12), np.zeros(16), np.zeros(12)

for epoch in range(200):
    rng.shuffle(X)
    for batch in np.split(X, 100):
        dW, da, db = cd1_gradients(batch, W, a, b, rng)
        W += 0.1 * dW
        a += 0.1 * da
        b += 0.1 * db
    if epoch % 20 == 0:
        ll = X.dot(a) + np.log1p(np.exp(X.dot(W) + b)).sum(1) - log_z(W, a, b)
        print(epoch, 'log-likelihood %.3f' % ll.mean())
