def photographs(args):
    """The 19 corruptions of the package imagecorruptions (or imagecorruptions-imaug) on one image, by one thread."""
    import sys
    import cv2
    import numpy as np
    from imagecorruptions import corrupt, get_corruption_names
    cv2.setNumThreads(1)
    h, w, c = np.ogrid[:427, :640, :3]
    image = ((h // 3 + w * (2 + c) // 9 + (h * w) % 61) % 256).astype(np.uint8)
    for name in get_corruption_names("all"):
        try:
            value = median_milliseconds(lambda: corrupt(image, corruption_name=name, severity=3), args.runs)
            emit(f"photograph {name}", "640 x 427, severity 3", value, "ms")
        except Exception as error:  # some do not run with newer versions of what they stand on
            print(f"imagecorruptions: {name} left out: {error}", file=sys.stderr)


