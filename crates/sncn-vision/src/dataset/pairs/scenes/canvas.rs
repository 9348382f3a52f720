//! `Canvas`: shapes painted over each other, each with a class, a colour and a distance, at twice the resolution of the image.

use sncn_train::data::VOID;

/// A colour: red, green and blue in 0..1.
pub(super) type Tint = [f32; 3];

/// Samples per pixel and axis.
pub(super) const FINE: usize = 2;

/// The paint of a shape.
#[derive(Clone, Copy)]
pub(super) struct Paint {
    /// The class; 255 is void.
    pub(super) class: u8,
    pub(super) tint: Tint,
    /// The distance, from 0 (the camera) to 1 (the horizon).
    pub(super) distance: f32,
}

/// The samples of a scene, row by row.
pub(super) struct Canvas {
    pub(super) height: usize,
    pub(super) width: usize,
    pub(super) samples: Vec<Paint>,
}

impl Canvas {
    /// A canvas that is all void.
    pub(super) fn new(height: usize, width: usize) -> Self {
        let nothing = Paint { class: VOID as u8, tint: [0.; 3], distance: 0. };
        Self { height, width, samples: vec![nothing; height * width * FINE * FINE] }
    }

    /// Paints the samples in the box `within` (left, top, right, bottom) for which `inside(x, y)` is true with `paint(x, y)`;
    /// coordinates are in pixels, x to the right and y downwards.
    pub(super) fn fill(&mut self, within: [f32; 4], inside: impl Fn(f32, f32) -> bool, paint: impl Fn(f32, f32) -> Paint) {
        let fine = FINE as f32;
        let sample = |edge: f32, most: usize| (edge * fine).clamp(0., (most * FINE) as f32) as usize;
        let [left, top, right, bottom] = within;
        let (columns, rows) = (
            sample(left, self.width)..sample(right + 1., self.width),
            sample(top, self.height)..sample(bottom + 1., self.height),
        );
        for row in rows {
            for column in columns.clone() {
                let (x, y) = ((column as f32 + 0.5) / fine, (row as f32 + 0.5) / fine);
                if inside(x, y) {
                    self.samples[row * self.width * FINE + column] = paint(x, y);
                }
            }
        }
    }

    /// Paints a rectangle (left, top, right, bottom).
    pub(super) fn rect(&mut self, [left, top, right, bottom]: [f32; 4], paint: Paint) {
        self.fill([left, top, right, bottom], |x, y| (left..right).contains(&x) && (top..bottom).contains(&y), |_, _| paint);
    }

    /// Paints an ellipse with the given centre and radii.
    pub(super) fn ellipse(&mut self, (x, y): (f32, f32), (rx, ry): (f32, f32), paint: Paint) {
        let inside = |px: f32, py: f32| ((px - x) / rx).powi(2) + ((py - y) / ry).powi(2) < 1.;
        self.fill([x - rx, y - ry, x + rx, y + ry], inside, |_, _| paint);
    }

    /// The class of every pixel, which is that of its upper left sample.
    pub(super) fn labels(&self) -> Vec<u8> {
        let sample = |(y, x): (usize, usize)| self.samples[y * FINE * self.width * FINE + x * FINE].class;
        (0..self.height * self.width).map(|i| sample((i / self.width, i % self.width))).collect()
    }
}
