"""Makes the ONNX files of this folder, with the answers of ONNX Runtime to one batch of images.

    pip install onnx onnxruntime numpy && python3 make.py
"""

import json
import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

rng = np.random.default_rng(0)


class Graph:
    """Nodes in order; `node` returns the name of its result."""

    def __init__(self):
        self.nodes, self.constants, self.count = [], [], 0

    def constant(self, values, dtype=np.float32):
        name = f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(values, dtype), name))
        return name

    def node(self, kind, *inputs, **attributes):
        self.count += 1
        name = f"v{self.count}"
        self.nodes.append(helper.make_node(kind, list(inputs), [name], name=f"n{self.count}", **attributes))
        return name

    def conv(self, x, inputs, outputs, kernel, bias=False, group=1, **attributes):
        scale = (2 / (kernel * kernel * inputs / group)) ** 0.5
        weights = [self.constant(scale * rng.standard_normal((outputs, inputs // group, kernel, kernel)))]
        weights += [self.constant(0.1 * rng.standard_normal(outputs))] if bias else []
        return self.node("Conv", x, *weights, kernel_shape=[kernel, kernel], group=group, **attributes)

    def norm(self, x, channels):
        values = [1 + 0.1 * rng.standard_normal(channels), 0.1 * rng.standard_normal(channels), 0.1 * rng.standard_normal(channels)]
        return self.node("BatchNormalization", x, *map(self.constant, values), self.constant(rng.uniform(0.5, 2, channels)), epsilon=1e-3)

    def head(self, x, channels, classes):
        weight, bias = self.constant(rng.standard_normal((classes, channels)) / channels**0.5), self.constant(np.zeros(classes))
        return self.node("Gemm", self.node("Flatten", x, axis=1), weight, bias, transB=1)


def residual(g, x):
    """A ResNet with a large stem, a pooling and a shortcut."""
    x = g.node("Relu", g.norm(g.conv(x, 3, 8, 7, strides=[2, 2], pads=[3] * 4), 8))
    x = g.node("MaxPool", x, kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4)
    y = g.node("Relu", g.norm(g.conv(x, 8, 16, 3, strides=[2, 2], pads=[1] * 4), 16))
    y = g.norm(g.conv(y, 16, 16, 3, pads=[1] * 4), 16)
    x = g.node("Relu", g.node("Add", y, g.norm(g.conv(x, 8, 16, 1, strides=[2, 2]), 16)))
    return g.head(g.node("GlobalAveragePool", x), 16, 5)


def dense(g, x):
    """Norms before convolutions, concatenation, means, and a softmax at the end."""
    x = g.conv(x, 3, 8, 3, bias=True, pads=[1] * 4)
    y = g.conv(g.node("LeakyRelu", g.norm(x, 8), alpha=0.1), 8, 4, 3, pads=[2] * 4, dilations=[2, 2])
    x = g.node("Concat", x, y, axis=1)
    x = g.node("AveragePool", g.conv(g.node("Relu", g.norm(x, 12)), 12, 6, 1), kernel_shape=[2, 2], strides=[2, 2])
    x = g.node("AveragePool", g.node("Identity", x), kernel_shape=[16, 16])
    return g.node("Softmax", g.head(x, 6, 4), axis=1)


def mobile(g, x):
    """Channels last, padded as TensorFlow does, ReLU6, convolutions of one channel a group."""
    x = g.node("Transpose", x, perm=[0, 3, 1, 2])
    zero, six = g.constant(0.0), g.constant(6.0)
    x = g.node("Clip", g.norm(g.conv(x, 3, 8, 3, strides=[2, 2], pads=[0, 0, 1, 1]), 8), zero, six)
    x = g.node("Clip", g.norm(g.conv(x, 8, 8, 5, group=8, strides=[2, 2], auto_pad="SAME_UPPER"), 8), zero, six)
    x = g.node("ReduceMean", g.conv(x, 8, 12, 1), axes=[2, 3], keepdims=0)
    weight, bias = g.constant(rng.standard_normal((12, 3))), g.constant([0.1, 0.2, 0.3])
    return g.node("Add", g.node("MatMul", x, weight), bias)


def gated(g, x):
    """Squeeze and excitation, and an activation that runs on tract."""
    x = g.conv(x, 3, 8, 3, bias=True, strides=[2, 2], pads=[1] * 4)
    x = g.node("HardSwish", x)
    y = g.node("Relu", g.conv(g.node("GlobalAveragePool", x), 8, 4, 1, bias=True))
    x = g.node("Mul", x, g.node("Sigmoid", g.conv(y, 4, 8, 1, bias=True)))
    return g.head(g.node("GlobalAveragePool", x), 8, 5)


def uneven(g, x):
    """A pooling with zeros on two sides only, after convolutions of rectangles: all that the kernels here do not have."""
    weight = g.constant(0.3 * rng.standard_normal((6, 3, 1, 3)))
    x = g.node("Conv", x, weight, kernel_shape=[1, 3], pads=[0, 1, 0, 1])
    x = g.node("MaxPool", g.node("Relu", x), kernel_shape=[3, 3], strides=[2, 2], pads=[0, 0, 1, 1])
    x = g.conv(x, 6, 8, 3, pads=[1] * 4)
    return g.head(g.node("GlobalAveragePool", x), 8, 5)


def light(g, x):
    """Two classes, dark and light: whether the mean of an image is above 60 of 255."""
    weight, bias = g.constant(np.full((2, 3, 1, 1), 100 / 3) * np.array([-1, 1]).reshape(2, 1, 1, 1)), g.constant([6000 / 255, -6000 / 255])
    x = g.node("GlobalAveragePool", g.node("Conv", x, weight, bias, kernel_shape=[1, 1]))
    return g.node("Flatten", x, axis=1)


def pixels(g, x):
    """Scores of three classes for every second row and column, partly on tract."""
    x = g.node("HardSwish", g.conv(x, 3, 6, 3, bias=True, strides=[2, 2], pads=[1] * 4))
    return g.conv(x, 6, 3, 1, bias=True)


def shade(g, x):
    """Scores of two classes for every pixel, dark and light: whether its mean is above 60 of 255; channels last."""
    weight = np.full((2, 3, 1, 1), 100 / 3) * np.array([-1, 1]).reshape(2, 1, 1, 1)
    x = g.node("Conv", x, g.constant(weight), g.constant([6000 / 255, -6000 / 255]), kernel_shape=[1, 1])
    return g.node("Transpose", x, perm=[0, 2, 3, 1])


def filled(g, x):
    """A convolution whose weight is made inside the graph, of its shape and one value."""
    weight = g.node("ConstantOfShape", g.constant([4, 3, 3, 3], np.int64), value=numpy_helper.from_array(np.array([0.125], np.float32)))
    x = g.node("Relu", g.node("Conv", x, weight, g.constant([-0.5, -0.25, 0, 0.25]), kernel_shape=[3, 3]))
    return g.head(g.node("GlobalAveragePool", x), 4, 3)


def main():
    expected = {}
    for build, shape, batch in [
        (residual, ["n", 3, 64, 64], 4),
        (dense, [3, 3, 32, 32], 5),
        (mobile, ["n", 32, 32, 3], 4),
        (gated, ["n", 3, "h", "w"], 4),
        (uneven, [1, 3, 32, 32], 2),
        (light, ["n", 3, "h", "w"], 2),
        (pixels, ["n", 3, "h", "w"], 2),
        (shade, ["n", 3, "h", "w"], 2),
        (filled, [1, 3, 32, 32], 2),
    ]:
        name, g = build.__name__, Graph()
        output = build(g, "images")
        declared = lambda name, shape: helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
        answer = ["m", "a", "b", "c"] if build in (pixels, shade) else ["m", "classes"]
        graph = helper.make_graph(g.nodes, name, [declared("images", shape)], [declared(output, answer)], g.constants)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
        onnx.checker.check_model(model)
        onnx.save(model, f"{name}.onnx")
        last = shape[-1] == 3
        side = 32 if shape[2] == "h" else shape[1 if last else 2]
        # the images that the test makes: values of a line through the index, folded
        images = ((np.arange(batch * side * side * 3) * 37 % 101) / 101 - 0.5).astype(np.float32).reshape(batch, side, side, 3)
        inputs = images if last else images.transpose(0, 3, 1, 2)
        session = onnxruntime.InferenceSession(f"{name}.onnx")
        size = shape[0] if isinstance(shape[0], int) else batch
        padded = np.concatenate([inputs, np.repeat(inputs[-1:], -batch % size, axis=0)])
        answers = [session.run(None, {"images": np.ascontiguousarray(padded[at : at + size])})[0] for at in range(0, len(padded), size)]
        expected[name] = {"batch": batch, "side": side, "answers": np.concatenate(answers)[:batch].reshape(batch, -1).tolist()}
    json.dump(expected, open("expected.json", "w"))


main()
