

def textures(count):
    """Smooth colour gradients with a texture, different for every image: ours draws the same."""
    import numpy as np
    i, h, w, c = np.ogrid[:count, :32, :32, :3]
    return ((h * (3 + i % 5) + w * (2 + c) + (h * w * (i % 7)) % 61 + 40 * (i % 3)) % 256).astype(np.uint8)


def in_processes(work, images, threads, runs):
    """Images a second of `work` on parts of `images`, a process for each thread."""
    import multiprocessing
    import numpy as np
    parts = np.array_split(images, threads)
    with multiprocessing.get_context("fork").Pool(threads) as pool:
        return 1e3 * len(images) / median_milliseconds(lambda: pool.map(work, parts), runs)


def mixed(images):
    """Two AugMix views of each image after a crop and a flip: width 3, depth 1 to 3, severity 3, the nine operations."""
    import numpy as np
    from PIL import Image, ImageOps
    rng = np.random.default_rng(0)

    def affine(image, *matrix):
        return image.transform((32, 32), Image.Transform.AFFINE, matrix, resample=Image.Resampling.BILINEAR)

    def signed(value):
        return -value if rng.uniform() > 0.5 else value

    operations = [
        lambda image, level: ImageOps.autocontrast(image),
        lambda image, level: ImageOps.equalize(image),
        lambda image, level: ImageOps.posterize(image, 4 - int(level * 4 / 10)),
        lambda image, level: image.rotate(signed(int(level * 30 / 10)), resample=Image.Resampling.BILINEAR),
        lambda image, level: ImageOps.solarize(image, 256 - int(level * 256 / 10)),
        lambda image, level: affine(image, 1, signed(level * 0.3 / 10), 0, 0, 1, 0),
        lambda image, level: affine(image, 1, 0, 0, signed(level * 0.3 / 10), 1, 0),
        lambda image, level: affine(image, 1, 0, signed(int(level * (32 / 3) / 10)), 0, 1, 0),
        lambda image, level: affine(image, 1, 0, 0, 0, 1, signed(int(level * (32 / 3) / 10))),
    ]

    def scaled(image):
        return (np.asarray(image, dtype=np.float32) / 255 - 0.5) / 0.5

    done = 0
    for pixels in images:
        image = Image.fromarray(np.pad(pixels, ((4, 4), (4, 4), (0, 0))))
        down, right = rng.integers(0, 9, 2)
        image = image.crop((right, down, right + 32, down + 32))
        image = ImageOps.mirror(image) if rng.uniform() < 0.5 else image
        clean = scaled(image)
        for _ in range(2):
            weights, share = rng.dirichlet([1] * 3), rng.beta(1, 1)
            mix = np.zeros_like(clean)
            for weight in weights:
                chained = image
                for _ in range(rng.integers(1, 4)):
                    chained = operations[rng.integers(9)](chained, rng.uniform(0.1, 3))
                mix += weight * scaled(chained)
            done += ((1 - share) * clean + share * mix).size
    return done


def augmix(args):
    emit("AugMix", "views", 2 * in_processes(mixed, textures(1000), args.threads, args.runs), "images/s")


def corrupted(job_and_images):
    from imagecorruptions import corrupt
    name, images = job_and_images
    return sum(corrupt(image, corruption_name=name, severity=3).size for image in images)


def corruptions(args):
    import functools, multiprocessing, sys
    import numpy as np
    from imagecorruptions import get_corruption_names
    images = textures(100)
    with multiprocessing.get_context("fork").Pool(args.threads) as pool:
        for name in get_corruption_names():
            jobs = [(name, part) for part in np.array_split(images, args.threads)]
            try:
                value = 1e3 * len(images) / median_milliseconds(functools.partial(pool.map, corrupted, jobs), args.runs)
                emit(f"corruption {name}", "severity 3", value, "images/s")
            except Exception as error:  # some do not run with newer versions of what they stand on
                print(f"imagecorruptions: {name} left out: {error}", file=sys.stderr)
