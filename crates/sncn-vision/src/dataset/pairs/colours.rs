//! The classes of the known data sets with their colours.

/// A colour: red, green and blue.
pub type Colour = [u8; 3];

/// The classes of `scenes` with the colours of their labels, in the order of the class numbers.
pub(super) const SCENES: [(&str, Colour); 8] = [
    ("sky", [70, 130, 180]),
    ("road", [128, 64, 128]),
    ("pavement", [244, 35, 232]),
    ("building", [90, 90, 90]),
    ("tree", [107, 142, 35]),
    ("car", [0, 0, 142]),
    ("person", [220, 20, 60]),
    ("pole", [220, 220, 0]),
];

/// The classes of CamVid with the colours of its label images.
pub(super) const CAMVID: [(&str, Colour); 11] = [
    ("sky", [128, 128, 128]),
    ("building", [128, 0, 0]),
    ("pole", [192, 192, 128]),
    ("road", [128, 64, 128]),
    ("pavement", [60, 40, 222]),
    ("tree", [128, 128, 0]),
    ("sign-symbol", [192, 128, 128]),
    ("fence", [64, 64, 128]),
    ("car", [64, 0, 128]),
    ("pedestrian", [64, 64, 0]),
    ("bicyclist", [0, 128, 192]),
];

/// The classes of Cityscapes and GTA5.
pub(super) const CITYSCAPES: [(&str, Colour); 19] = [
    ("road", [128, 64, 128]),
    ("sidewalk", [244, 35, 232]),
    ("building", [70, 70, 70]),
    ("wall", [102, 102, 156]),
    ("fence", [190, 153, 153]),
    ("pole", [153, 153, 153]),
    ("traffic light", [250, 170, 30]),
    ("traffic sign", [220, 220, 0]),
    ("vegetation", [107, 142, 35]),
    ("terrain", [152, 251, 152]),
    ("sky", [70, 130, 180]),
    ("person", [220, 20, 60]),
    ("rider", [255, 0, 0]),
    ("car", [0, 0, 142]),
    ("truck", [0, 0, 70]),
    ("bus", [0, 60, 100]),
    ("train", [0, 80, 100]),
    ("motorcycle", [0, 0, 230]),
    ("bicycle", [119, 11, 32]),
];
