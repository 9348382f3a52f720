"""What the peer's own file does not measure; started by `cargo xtask bench` as `python -c`.

    linear --threads N --runs R        torch.nn.functional.linear on the shapes of `sncn-classify bench linear`
    memory PEER --threads N --runs R   most memory held over three training steps of PEER's WideResNet, two CrossNorm sites active
    networks PEER --threads N --runs R a training step of each network of the CIFAR experiments, batch 128, channels last; the
                                       WideResNet is PEER's
    imagenet --threads N --runs R      ResNet-50 and EfficientNet-Lite0 on 224 x 224 pixels, in the faster memory format
    augmix --threads N --runs R        views of AugMix in Pillow and NumPy, in as many processes
    corruptions --threads N --runs R   the package imagecorruptions, in as many processes
    loading --threads N --runs R       JPEG files to inputs of 224 pixels by Pillow and torchvision, in as many processes
    photographs --runs R               the package imagecorruptions on one image of 640 x 427 pixels, by one thread
    fixmatch --threads N --runs R      a step of FixMatch on WideResNet-28-2, views by Pillow in as many processes
    versions                           one JSON object: Python and the packages that are measured
"""
import argparse, json, platform, statistics, time
from importlib import metadata, util


def emit(case, what, value, unit):
    print(json.dumps({"case": case, "what": what, "value": round(value, 3), "unit": unit}), flush=True)


def median_milliseconds(step, runs):
    step()
    times = []
    for _ in range(runs):
        start = time.perf_counter()
        step()
        times.append(time.perf_counter() - start)
    return 1e3 * statistics.median(times)


def load(path):
    spec = util.spec_from_file_location("peer", path)
    module = util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
