"""Data and the two pretraining runs."""
import sys

import tensorflow as tf
from tensorflow import keras
from tensorflow.keras import layers

from simcon import SimCon, binary_focal
from simcon.model import Denoiser

SIZE = 48


def build_encoder(width=64):
    return keras.Sequential([
        keras.Input((SIZE, SIZE, 3)),
        layers.Conv2D(width, 3, 2, activation="relu"),
        layers.Conv2D(width * 2, 3, 2, activation="relu"),
        layers.Conv2D(width * 2, 3, 2, activation="relu"),
        layers.Flatten(),
        layers.Dense(width * 2, activation="relu"),
    ], name="encoder")


def load_split(split, batch):
    ds = keras.utils.image_dataset_from_directory(
        "data/" + split, image_size=(SIZE + 8, SIZE + 8), batch_size=None)
    crop = keras.Sequential([layers.Rescaling(1 / 255.0), layers.RandomCrop(SIZE, SIZE),
                             layers.RandomFlip("horizontal"), layers.RandomContrast(0.4)])
    ds = ds.map(lambda x, y: (crop(x), y), tf.data.AUTOTUNE)
    return ds.shuffle(2000).batch(batch, drop_remainder=True).prefetch(2)


def pretrain(epochs=100):
    unl = load_split("unlabeled", 256).map(lambda x, _: (x, x[:, ::-1]))
    data = tf.data.Dataset.zip((unl, load_split("train", 64)))
    model = SimCon(build_encoder())
    model.compile(contrastive_optimizer=keras.optimizers.Adam(),
                  probe_optimizer=keras.optimizers.Adam())
    history = model.fit(data, epochs=epochs, validation_data=load_split("val", 256))
    print("best probe accuracy", max(history.history["val_p_acc"]))
    model.encoder.save("encoder.keras")


def tags(epochs=30):
    """Multi-label heads on the frozen encoder, focal loss because tags are rare."""
    enc = keras.models.load_model("encoder.keras")
    enc.trainable = False
    net = keras.Sequential([enc, layers.Dense(40, activation="sigmoid")])
    net.compile("adam", loss=binary_focal(gamma=1.5), metrics=[keras.metrics.AUC(multi_label=True)])
    net.fit(load_split("tags", 64), epochs=epochs)


if __name__ == "__main__":
    {"pretrain": pretrain, "tags": tags}[sys.argv[1] if len(sys.argv) > 1 else "pretrain"]()
