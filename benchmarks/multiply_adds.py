"""Multiply-adds as ``cnntransfer inspect`` counts them against TensorFlow's own profiler.

The profiler counts floating-point operations of the graph that TensorFlow runs, two for a
multiply-add. "convolutions and products" is half of what it counts for those operations, which is
what ``inspect`` counts; "everything" is half of all that it counts: biases, normalisation,
activations, pooling and sums, too, each as an operation of its own.

    python benchmarks/multiply_adds.py
"""

from __future__ import annotations

import argparse
import gc

from cnntransfer.frameworks import keras, quiet, tensorflow
from cnntransfer.inspect.network import of_backbone
from cnntransfer.models.backbones import get_backbone

#: One of a family each.
BACKBONES = (
    "vgg16",
    "resnet50",
    "resnet50_v2",
    "densenet121",
    "inception_v3",
    "inception_resnet_v2",
    "xception",
    "nasnet_mobile",
    "mobilenet",
    "mobilenet_v2",
    "mobilenet_v3_large",
    "efficientnet_b0",
    "efficientnet_v2_b0",
    "convnext_tiny",
)
#: The operations in which weights meet inputs.
PRODUCTS = {
    "Conv2D",
    "DepthwiseConv2dNative",
    "Conv2DBackpropInput",
    "MatMul",
    "BatchMatMul",
    "BatchMatMulV2",
    "BatchMatMulV3",
}


def profiled(name: str) -> dict[str, int]:
    """What TensorFlow's profiler counts for one image: floating-point operations by kind.

    The network is the one with ImageNet's classifier, in its own size, as Keras runs it.
    """
    from tensorflow.python.framework.convert_to_constants import (
        convert_variables_to_constants_v2,
    )

    tf, backbone = tensorflow(), get_backbone(name)
    side = backbone.default_size
    model = backbone.full(keras().Input((side, side, 3), name="image"))
    image = tf.TensorSpec((1, side, side, 3), tf.float32)
    function = tf.function(lambda x: model(x, training=False)).get_concrete_function(image)
    graph = convert_variables_to_constants_v2(function).graph
    profiler = tf.compat.v1.profiler
    options = profiler.ProfileOptionBuilder(profiler.ProfileOptionBuilder.float_operation())
    with quiet():
        root = profiler.profile(graph, cmd="op", options=options.with_empty_output().build())
    counts: dict[str, int] = {}
    while root.children:
        # Every kind of operation is the child of the one before it.
        (root,) = root.children
        counts[root.name] = root.float_ops
    return counts


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--backbones", nargs="+", default=BACKBONES)
    arguments = parser.parse_args()
    print("| network | inspect | convolutions and products | difference | everything |")
    print("|---|---|---|---|---|")
    for name in arguments.backbones:
        counts = profiled(name)
        products = sum(count for kind, count in counts.items() if kind in PRODUCTS) / 2
        ours = of_backbone(get_backbone(name), include_top=True).multiply_adds
        everything = sum(counts.values()) / 2
        print(
            f"| {name} | {ours:,} | {products:,.0f} | {ours / products - 1:+.4%} | "
            f"{everything / ours - 1:+.1%} |",
            flush=True,
        )
        keras().backend.clear_session()
        gc.collect()


if __name__ == "__main__":
    main()
