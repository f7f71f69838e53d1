"""The algorithm without any framework, for the lecture."""
import numpy as np
from scipy.special import expit as sigm, logsumexp


def cd1_gradients(v0, W, a, b, rng):
    h0 = sigm(v0.dot(W) + b)
    s = (rng.uniform(size=h0.shape) < h0).astype(float)
    v1 = sigm(s.dot(W.T) + a)
    h1 = sigm(v1.dot(W) + b)
    return (v0.T.dot(h0) - v1.T.dot(h1)) / len(v0), (v0 - v1).mean(0), (h0 - h1).mean(0)


rng = np.random.RandomState(7)
# 4x4 bars, all horizontal or all vertical
rows = (rng.rand(2000, 4, 1) < .5) * np.ones(4)
X = np.concatenate([rows[:1000], rows[1000:].swapaxes(1, 2)]).reshape(2000, 16)
W, a, b = 0.01 * rng.randn(16, 12), np.zeros(16), np.zeros(12)
H = (np.arange(2 ** 12)[:, None] >> np.arange(12)) & 1  # all hidden states, 12 is about the limit

for epoch in range(200):
    rng.shuffle(X)
    for batch in np.split(X, 100):
        dW, da, db = cd1_gradients(batch, W, a, b, rng)
        W += 0.1 * dW
        a += 0.1 * da
        b += 0.1 * db
    if epoch % 20 == 0:
        log_z = logsumexp(H.dot(b) + np.log1p(np.exp(H.dot(W.T) + a)).sum(1))
        ll = X.dot(a) + np.log1p(np.exp(X.dot(W) + b)).sum(1) - log_z
        print(epoch, 'log-likelihood %.3f' % ll.mean())
