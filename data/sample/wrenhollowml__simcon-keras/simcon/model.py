"""Contrastive pretraining with a linear probe on the side, everything in train_step."""
import tensorflow as tf
from tensorflow import keras
from tensorflow.keras import layers


class SimCon(keras.Model):

    def __init__(self, encoder, width=128, temperature=0.1, n_classes=10, **kwargs):
        super().__init__(**kwargs)
        self.temperature = temperature
        self.encoder = encoder
        self.projection_head = keras.Sequential(
            [layers.Dense(width, activation="relu"), layers.Dense(width)], name="projection")
        self.linear_probe = layers.Dense(n_classes, name="probe")

    def compile(self, contrastive_optimizer, probe_optimizer, **kwargs):
        super().compile(**kwargs)
        self.contrastive_optimizer = contrastive_optimizer
        self.probe_optimizer = probe_optimizer
        self.probe_loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        self.loss_tracker = keras.metrics.Mean(name="c_loss")
        self.contrastive_accuracy = keras.metrics.SparseCategoricalAccuracy(name="c_acc")
        self.probe_accuracy = keras.metrics.SparseCategoricalAccuracy(name="p_acc")

    @property
    def metrics(self):
        return [self.loss_tracker, self.contrastive_accuracy, self.probe_accuracy]

    def call(self, images, training=False):
        return self.linear_probe(self.encoder(images, training=training))

    def contrastive_loss(self, z1, z2):
        z1 = tf.math.l2_normalize(z1, axis=1)
        z2 = tf.math.l2_normalize(z2, axis=1)
        similarities = tf.matmul(z1, z2, transpose_b=True) / self.temperature
        labels = tf.range(tf.shape(z1)[0])
        self.contrastive_accuracy.update_state(labels, similarities)
        loss_12 = keras.losses.sparse_categorical_crossentropy(labels, similarities, from_logits=True)
        loss_21 = keras.losses.sparse_categorical_crossentropy(
            labels, tf.transpose(similarities), from_logits=True)
        return tf.reduce_mean(loss_12 + loss_21) / 2

    def train_step(self, data):
        (view1, view2), (labeled, labels) = data
        with tf.GradientTape() as tape:
            f1 = self.encoder(view1, training=True)
            f2 = self.encoder(view2, training=True)
            loss = self.contrastive_loss(self.projection_head(f1), self.projection_head(f2))
            # keeps the features from blowing up once the temperature is low
            loss += 1e-4 * (tf.reduce_mean(tf.square(f1)) + tf.reduce_mean(tf.square(f2)))
        weights = self.encoder.trainable_weights + self.projection_head.trainable_weights
        self.contrastive_optimizer.apply_gradients(zip(tape.gradient(loss, weights), weights))
        self.loss_tracker.update_state(loss)

        features = self.encoder(labeled, training=False)
        with tf.GradientTape() as tape:
            logits = self.linear_probe(features)
            probe_loss = self.probe_loss(labels, logits)
        grads = tape.gradient(probe_loss, self.linear_probe.trainable_weights)
        self.probe_optimizer.apply_gradients(zip(grads, self.linear_probe.trainable_weights))
        self.probe_accuracy.update_state(labels, logits)
        return {m.name: m.result() for m in self.metrics}

    def test_step(self, data):
        images, labels = data
        logits = self(images, training=False)
        self.probe_accuracy.update_state(labels, logits)
        return {"p_acc": self.probe_accuracy.result(), "p_loss": self.probe_loss(labels, logits)}


class Denoiser(keras.Model):
    """Second pretext task: clean a noisy image."""

    def __init__(self, encoder, decoder, noise=0.1):
        super().__init__()
        self.encoder, self.decoder, self.noise = encoder, decoder, noise

    def call(self, x, training=None):
        out = self.decoder(self.encoder(x, training=training), training=training)
        # picked up by compiled_loss through self.losses
        self.add_loss(0.01 * tf.reduce_mean(tf.abs(out[:, 1:] - out[:, :-1])))
        return out

    def train_step(self, x):
        noisy = x + self.noise * tf.random.normal(tf.shape(x))
        with tf.GradientTape() as tape:
            loss = self.compute_loss(x, x, self(noisy, training=True))
        self.optimizer.minimize(loss, self.trainable_variables, tape=tape)
        return {"loss": loss}
