"""How much each pixel changes a class's score: gradients, averaged over noisy copies.

Simonyan, Vedaldi and Zisserman 2013, "Deep Inside Convolutional Networks", arXiv:1312.6034; Smilkov
et al. 2017, "SmoothGrad: removing noise by adding noise", arXiv:1706.03825.

Arrays: ``saliency``, float32, shape (height, width): the largest of the three channels' absolute
mean gradients of the logit, per grey level.
"""

from __future__ import annotations

import numpy as np

from .explanation import Explanation, Photo
from .gradients import score_gradients
from .heat import Heat, explanation
from .options import Options
from .subject import BATCH, Subject


def explain(subject: Subject, photo: Photo, options: Options) -> Explanation:
    """The mean gradient of the class's logit, by pixel.

    Raises:
        UsageError: there is no such class.
    """
    found = subject.scores(photo.pixels, options.target)
    gradients = score_gradients(subject, found.index)
    image = photo.pixels.astype(np.float32)
    random = np.random.default_rng(options.seed)
    # The paper's figure 3 has noise of 10 to 20 % of the range as the best.
    deviation = 255 * options.noise if options.samples > 1 else 0.0
    total = np.zeros(image.shape, np.float64)
    for start in range(0, options.samples, BATCH):
        count = min(BATCH, options.samples - start)
        noise = random.normal(0, deviation, (count, *image.shape))
        total += gradients((image + noise).astype(np.float32))[1].sum(axis=0, dtype=np.float64)
    saliency = np.abs(total / options.samples).max(axis=-1).astype(np.float32)
    heat = Heat(saliency, "change of the logit per grey level")
    facts = {"samples": options.samples}
    return explanation("saliency", photo, found, heat, {"saliency": saliency}, facts)
