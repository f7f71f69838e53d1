import tensorflow as tf
from tensorflow.keras import backend as K

__all__ = ["binary_focal", "WeightedBCE", "charbonnier", "smooth_mse"]


def binary_focal(gamma=2.0, alpha=0.25):
    def focal(y_true, y_pred):
        y_pred = K.clip(y_pred, K.epsilon(), 1.0 - K.epsilon())
        p_t = y_true * y_pred + (1 - y_true) * (1 - y_pred)
        a_t = y_true * alpha + (1 - y_true) * (1 - alpha)
        return -K.mean(a_t * K.pow(1.0 - p_t, gamma) * K.log(p_t), axis=-1)

    return focal


class WeightedBCE(tf.keras.losses.Loss):
    def __init__(self, pos_weight=1.0, name="weighted_bce", **kw):
        super().__init__(name=name, **kw)
        self.pos_weight = pos_weight

    def call(self, y_true, y_pred):
        y_true = tf.cast(y_true, y_pred.dtype)
        return tf.reduce_mean(
            tf.nn.weighted_cross_entropy_with_logits(y_true, y_pred, self.pos_weight), axis=-1)


def charbonnier(y_true, y_pred, eps=1e-3):
    return K.mean(K.sqrt(K.square(y_true - y_pred) + eps ** 2), axis=-1)


def smooth_mse(y_true, y_pred):
    return tf.keras.losses.mean_squared_error(y_true, y_pred)


def psnr(y_true, y_pred):
    """in dB, for images in 0..1"""
    return -10.0 * K.log(K.mean(K.square(y_pred - y_true))) / K.log(10.0)
