"""Fine-tune the pretrained encoder. Own loop, because of the per-layer learning rates."""
import argparse
import os

import numpy as np
import tensorflow as tf
from tensorflow import keras

from datasets import load_split

ap = argparse.ArgumentParser()
ap.add_argument("--encoder", default="encoder.keras")
ap.add_argument("--epochs", type=int, default=15)
ap.add_argument("--l2", type=float, default=1e-4)
ap.add_argument("--logdir", default="tb")
args = ap.parse_args()

encoder = keras.models.load_model(args.encoder)
head = keras.layers.Dense(10)
opt_enc, opt_head = keras.optimizers.Adam(1e-5), keras.optimizers.Adam(1e-3)
xent = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
writer = tf.summary.create_file_writer(args.logdir)
acc = keras.metrics.SparseCategoricalAccuracy()


@tf.function
def train_on(x, y):
    with tf.GradientTape() as tape:
        logits = head(encoder(x, training=True))
        reg = tf.add_n([tf.nn.l2_loss(w) for w in encoder.trainable_weights if "kernel" in w.name])
        loss = xent(y, logits) + args.l2 * reg
    enc_w, head_w = encoder.trainable_weights, head.trainable_weights
    grads = tape.gradient(loss, enc_w + head_w)
    opt_enc.apply_gradients(zip(grads[:len(enc_w)], enc_w))
    opt_head.apply_gradients(zip(grads[len(enc_w):], head_w))
    acc.update_state(y, logits)
    return loss


train, val = load_split("train", 64), load_split("val", 256)
with writer.as_default():
    for epoch in range(args.epochs):
        acc.reset_state()
        losses = [float(train_on(x, y)) for x, y in train]
        tf.summary.scalar("loss", np.mean(losses), epoch)
        tf.summary.scalar("acc", acc.result(), epoch)
        acc.reset_state()
        val_losses = []
        for x, y in val:
            logits = head(encoder(x, training=False))
            acc.update_state(y, logits)
            val_losses.append(float(xent(y, logits)))
        val_loss = np.mean(val_losses)
        tf.summary.scalar("val_loss", val_loss, epoch)
        print(f"{epoch:3d}  loss {np.mean(losses):.4f}  val {val_loss:.4f}  acc {float(acc.result()):.3f}")

encoder.save(os.path.splitext(args.encoder)[0] + "-ft.keras")
