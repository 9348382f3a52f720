//! The layout of a scene: a road to a vanishing point between pavements, house fronts, trees, lamps, people and cars, painted
//! from far to near.

use super::canvas::{Canvas, Paint, Tint};
use rand::{Rng, RngExt};
use sncn_train::data::VOID;

const SKY: u8 = 0;
const ROAD: u8 = 1;
const PAVEMENT: u8 = 2;
const BUILDING: u8 = 3;
const TREE: u8 = 4;
const CAR: u8 = 5;
const PERSON: u8 = 6;
const POLE: u8 = 7;

const WALLS: [Tint; 5] = [[0.72, 0.45, 0.36], [0.80, 0.68, 0.50], [0.62, 0.58, 0.55], [0.78, 0.74, 0.70], [0.55, 0.38, 0.32]];
const BODIES: [Tint; 5] = [[0.75, 0.15, 0.15], [0.15, 0.25, 0.65], [0.9, 0.9, 0.9], [0.2, 0.2, 0.22], [0.75, 0.65, 0.2]];
const CLOTHES: [Tint; 4] = [[0.7, 0.2, 0.3], [0.2, 0.3, 0.5], [0.85, 0.75, 0.4], [0.3, 0.3, 0.3]];

fn near(rng: &mut impl Rng, tint: Tint, spread: f32) -> Tint {
    let all = rng.random_range(-spread..=spread);
    tint.map(|t| t + all + rng.random_range(-spread..=spread) * 0.4)
}

fn shade(tint: Tint, factor: f32) -> Tint {
    tint.map(|t| t * factor)
}

/// The perspective: where the road goes.
struct Perspective {
    height: f32,
    width: f32,
    horizon: f32,
    vanishing: f32,
    /// Half the width of the road, and the width of a pavement, at the lower edge.
    road: f32,
    pavement: f32,
}

impl Perspective {
    /// The row of the ground at depth t, 0 at the horizon and 1 at the lower edge.
    fn row(&self, t: f32) -> f32 {
        self.horizon + (self.height - self.horizon) * t
    }

    /// The column at depth t of a point that is `aside` half road widths (at the lower edge) from the middle.
    fn column(&self, aside: f32, t: f32) -> f32 {
        let lower = self.width / 2. + aside * self.road;
        self.vanishing + (lower - self.vanishing) * t
    }

    fn depth(&self, y: f32) -> f32 {
        ((y - self.horizon) / (self.height - self.horizon)).max(0.)
    }
}

/// Paints a scene.
pub(super) fn draw(canvas: &mut Canvas, rng: &mut impl Rng) {
    let (height, width) = (canvas.height as f32, canvas.width as f32);
    let road = rng.random_range(0.34..0.5) * width;
    let perspective = Perspective {
        height,
        width,
        horizon: rng.random_range(0.34..0.48) * height,
        vanishing: rng.random_range(0.4..0.6) * width,
        road,
        pavement: rng.random_range(0.3..0.55) * road,
    };
    ground(canvas, &perspective, rng);
    for side in [-1., 1.] {
        fronts(canvas, &perspective, side, rng);
    }
    let edge = 1. + perspective.pavement / perspective.road;
    let mut things: Vec<(f32, u8, f32)> = Vec::new();
    for side in [-1.0f32, 1.] {
        (0..rng.random_range(1..4))
            .for_each(|_| things.push((rng.random_range(0.12..0.8), TREE, side * rng.random_range(edge * 0.95..edge * 1.2))));
        (0..rng.random_range(1..4))
            .for_each(|_| things.push((rng.random_range(0.1..0.85), POLE, side * rng.random_range(1.05..1.2))));
        (0..rng.random_range(1..4))
            .for_each(|_| things.push((rng.random_range(0.12..0.75), PERSON, side * rng.random_range(1.12..edge))));
        (0..rng.random_range(1..3))
            .for_each(|_| things.push((rng.random_range(0.12..0.7), CAR, side * rng.random_range(0.3..0.72))));
    }
    things.sort_by(|one, two| one.0.total_cmp(&two.0));
    for (t, what, aside) in things {
        let (x, y, size) = (perspective.column(aside, t), perspective.row(t), t * height);
        let paint = |class, tint| Paint { class, tint, distance: 1. - t };
        match what {
            TREE => tree(canvas, (x, y), size, rng, paint),
            POLE => pole(canvas, (x, y), size, aside, rng, paint),
            PERSON => person(canvas, (x, y), size, rng, paint),
            _ => car(canvas, (x, y), size, rng, paint),
        }
    }
    if rng.random_bool(0.7) {
        let (x, rise) = (width * rng.random_range(0.42..0.58), rng.random_range(3.0..7.0));
        let bonnet = Paint { class: VOID as u8, tint: near(rng, [0.12; 3], 0.05), distance: 0. };
        canvas.ellipse((x, height + 4.), (width * 0.36, rise + 4.), bonnet);
    }
}

/// Sky, pavements and road with its markings.
fn ground(canvas: &mut Canvas, perspective: &Perspective, rng: &mut impl Rng) {
    let (top, low) = (near(rng, [0.45, 0.65, 0.9], 0.05), near(rng, [0.75, 0.85, 0.95], 0.04));
    let all = [0., 0., perspective.width, perspective.height];
    canvas.fill(
        all,
        |_, y| y < perspective.horizon,
        |_, y| {
            let t = y / perspective.horizon;
            Paint { class: SKY, tint: [0, 1, 2].map(|c| top[c] * (1. - t) + low[c] * t), distance: 1. }
        },
    );
    let (tar, stones) = (near(rng, [0.36, 0.36, 0.38], 0.04), near(rng, [0.66, 0.63, 0.58], 0.05));
    let painted = |class, tint| move |_: f32, y: f32| Paint { class, tint, distance: 1. - perspective.depth(y).min(1.) };
    canvas.fill(all, |_, y| y >= perspective.horizon, painted(PAVEMENT, stones));
    let across = |x: f32, y: f32| {
        let t = perspective.depth(y).max(1e-3);
        ((x - perspective.vanishing) / t + perspective.vanishing - perspective.width / 2.) / perspective.road
    };
    canvas.fill(all, |x, y| y >= perspective.horizon && across(x, y).abs() < 1.04, painted(PAVEMENT, shade(stones, 0.8)));
    canvas.fill(all, |x, y| y >= perspective.horizon && across(x, y).abs() < 1., painted(ROAD, tar));
    let dash = rng.random_range(0.0..1.0f32);
    let marked = |x: f32, y: f32| {
        let t = perspective.depth(y).max(0.02);
        y >= perspective.horizon && across(x, y).abs() < 0.03 && (1.5 / t + dash).fract() < 0.5
    };
    canvas.fill(all, marked, painted(ROAD, [0.85; 3]));
}

/// The house fronts of one side, from far to near.
fn fronts(canvas: &mut Canvas, perspective: &Perspective, side: f32, rng: &mut impl Rng) {
    let foot = side * (1.25 + perspective.pavement / perspective.road);
    let mut t = rng.random_range(0.04..0.08);
    while t < 1.3 {
        let next = t * rng.random_range(1.35..1.9);
        let tall = rng.random_range(0.45..1.0) * perspective.height;
        let wall = WALLS[rng.random_range(0..WALLS.len())];
        let wall = near(rng, wall, 0.05);
        if rng.random_bool(0.85) {
            let (far, close) = (perspective.column(foot, t), perspective.column(foot, next));
            let (left, right) = (far.min(close), far.max(close));
            let at = |x: f32| (t + (next - t) * (x - far) / (close - far).abs().max(1e-3) * side).clamp(t, next);
            let (rows, columns) = (rng.random_range(3..6) as f32, rng.random_range(2..5) as f32);
            let paint = |x: f32, y: f32| {
                let depth = at(x);
                let up = (perspective.row(depth) - y) / (tall * depth);
                let along = (depth - t) / (next - t);
                let window = (0.25..0.75).contains(&(up * rows).fract()) && (0.25..0.75).contains(&(along * columns).fract());
                let tint = if window && up < 0.93 { shade(wall, 0.45) } else { wall };
                Paint { class: BUILDING, tint, distance: 1. - depth.min(1.) }
            };
            let inside = |x: f32, y: f32| {
                let depth = at(x);
                let base = perspective.row(depth);
                (left..right).contains(&x) && (base - tall * depth..base).contains(&y)
            };
            canvas.fill([left, 0., right, perspective.height], inside, paint);
        }
        t = next;
    }
}

fn tree(canvas: &mut Canvas, (x, y): (f32, f32), size: f32, rng: &mut impl Rng, paint: impl Fn(u8, Tint) -> Paint) {
    let (tall, wide) = (size * rng.random_range(0.65..1.0), size * rng.random_range(0.16..0.28));
    canvas.rect([x - size * 0.025, y - tall * 0.5, x + size * 0.025, y], paint(TREE, near(rng, [0.36, 0.26, 0.18], 0.03)));
    let leaves = near(rng, [0.24, 0.48, 0.20], 0.05);
    for _ in 0..5 {
        let middle = (x + wide * rng.random_range(-0.5..0.5), y - tall * rng.random_range(0.5..0.85));
        let (rx, ry) = (wide * rng.random_range(0.55..0.9), tall * rng.random_range(0.14..0.24));
        canvas.ellipse(middle, (rx, ry), paint(TREE, shade(leaves, rng.random_range(0.8..1.15))));
    }
}

fn pole(canvas: &mut Canvas, (x, y): (f32, f32), size: f32, aside: f32, rng: &mut impl Rng, paint: impl Fn(u8, Tint) -> Paint) {
    let (tall, half) = (size * rng.random_range(0.6..0.9), (size * 0.016).max(0.5));
    let metal = paint(POLE, near(rng, [0.30, 0.31, 0.33], 0.04));
    canvas.rect([x - half, y - tall, x + half, y], metal);
    if rng.random_bool(0.6) {
        // a lamp over the road
        let reach = x - aside.signum() * size * 0.16;
        canvas.rect([x.min(reach), y - tall, x.max(reach), y - tall + 1.4 * half.max(0.8)], metal);
    } else {
        let sign = near(rng, [0.75, 0.2, 0.2], 0.08);
        canvas.ellipse((x, y - tall), (size * 0.06, size * 0.06), paint(POLE, sign));
    }
}

fn person(canvas: &mut Canvas, (x, y): (f32, f32), size: f32, rng: &mut impl Rng, paint: impl Fn(u8, Tint) -> Paint) {
    let tall = size * rng.random_range(0.3..0.38);
    let coat = CLOTHES[rng.random_range(0..CLOTHES.len())];
    let step = tall * rng.random_range(0.02..0.12);
    let legs = near(rng, [0.22, 0.22, 0.3], 0.05);
    for foot in [x - step, x + step] {
        canvas.rect([foot - tall * 0.06, y - tall * 0.48, foot + tall * 0.06, y], paint(PERSON, legs));
    }
    canvas.ellipse((x, y - tall * 0.62), (tall * 0.15, tall * 0.26), paint(PERSON, near(rng, coat, 0.06)));
    canvas.ellipse((x, y - tall * 0.92), (tall * 0.085, tall * 0.1), paint(PERSON, near(rng, [0.8, 0.62, 0.5], 0.08)));
}

fn car(canvas: &mut Canvas, (x, y): (f32, f32), size: f32, rng: &mut impl Rng, paint: impl Fn(u8, Tint) -> Paint) {
    let (half, tall) = (size * rng.random_range(0.19..0.25), size * rng.random_range(0.26..0.34));
    let body = BODIES[rng.random_range(0..BODIES.len())];
    let body = near(rng, body, 0.06);
    canvas.rect([x - half, y - tall * 0.12, x + half, y], paint(CAR, [0.08; 3]));
    canvas.ellipse((x, y - tall * 0.55), (half * 0.84, tall * 0.45), paint(CAR, shade(body, 0.9)));
    canvas.rect([x - half * 0.62, y - tall * 0.88, x + half * 0.62, y - tall * 0.56], paint(CAR, [0.16, 0.2, 0.26]));
    canvas.rect([x - half, y - tall * 0.56, x + half, y - tall * 0.12], paint(CAR, body));
    for lamp in [-0.8, 0.8] {
        canvas.ellipse((x + lamp * half, y - tall * 0.42), (half * 0.14, tall * 0.08), paint(CAR, [0.9, 0.3, 0.2]));
    }
}
