//! `Row`: a figure of both sides over all rounds, with its ratio and its bar.

use super::bars::{self, Bar};
use super::figure::Figure;

/// The figures of both sides in one round.
#[derive(Clone, Debug, Default)]
pub(crate) struct Round {
    /// Our figures.
    pub(crate) ours: Vec<Figure>,
    /// The peer's figures; `a, SelfNorm, compiled` is compared with our `a, SelfNorm`.
    pub(crate) theirs: Vec<Figure>,
}

/// A ratio; above 1 ours is better.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Ratio {
    /// The ratio of the medians.
    pub(crate) value: f64,
    /// The smallest ratio of a round.
    pub(crate) low: f64,
    /// The largest ratio of a round.
    pub(crate) high: f64,
}

/// A figure of both sides.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    /// The network or layer.
    pub(crate) case: String,
    /// The quantity.
    pub(crate) what: String,
    /// The unit of both values; `None` for a mean of ratios.
    pub(crate) unit: Option<String>,
    /// Our median over the rounds.
    pub(crate) ours: Option<f64>,
    /// The peer's median over the rounds.
    pub(crate) peer: Option<f64>,
    /// The ratio of the two.
    pub(crate) ratio: Option<Ratio>,
    /// The ratio of each round; `None` if a side is missing.
    pub(crate) rounds: Vec<Option<f64>>,
    /// The bar of the ratio.
    pub(crate) bar: Option<&'static Bar>,
    /// Our figure with its bytes and operations, for the roofline.
    pub(crate) figure: Option<Figure>,
}

impl Row {
    /// Whether the ratio reaches the bar; `None` if either is missing.
    pub(crate) fn holds(&self) -> Option<bool> {
        Some(self.ratio?.value >= self.bar?.least)
    }

    fn new(case: &str, what: &str, rounds: &[Round], held: bool) -> Self {
        let base = what.rsplit_once(", ").map_or(what, |(base, _)| base);
        let ours: Vec<Option<&Figure>> = rounds.iter().map(|round| find(&round.ours, case, &[what, base])).collect();
        let theirs: Vec<Option<&Figure>> = rounds.iter().map(|round| find(&round.theirs, case, &[what])).collect();
        let figure = ours.iter().flatten().next().copied();
        let unit = figure.or(theirs.iter().flatten().next().copied()).map(|figure| figure.unit.clone());
        let rate = unit.as_ref().is_some_and(|unit| unit.ends_with("/s"));
        let values = |side: &[Option<&Figure>]| side.iter().flatten().map(|figure| figure.value).collect::<Vec<_>>();
        let (our, their) = (median(values(&ours)), median(values(&theirs)));
        let each = ours.iter().zip(&theirs).map(|(ours, theirs)| ratio((*ours)?.value, (*theirs)?.value, rate));
        let each: Vec<Option<f64>> = each.collect();
        let whole = our.zip(their).and_then(|(ours, theirs)| ratio(ours, theirs, rate));
        Self {
            case: case.to_string(),
            what: what.to_string(),
            unit,
            ours: our,
            peer: their,
            ratio: whole.and_then(|value| spread(value, &each)),
            rounds: each,
            bar: Bar::of(case, what).filter(|_| held),
            figure: figure.cloned(),
        }
    }
}

/// The rows of all figures: ours in their order, each followed by the peer's variants of it, then figures of the peer alone.
/// If `held`, they get their bars.
pub(crate) fn rows(rounds: &[Round], held: bool) -> Vec<Row> {
    let name = |figure: &Figure| (figure.case.clone(), figure.what.clone());
    let mut names: Vec<(String, String)> = Vec::new();
    for wanted in rounds.iter().flat_map(|round| &round.ours).map(name) {
        if !names.contains(&wanted) {
            names.push(wanted);
        }
    }
    for wanted in rounds.iter().flat_map(|round| &round.theirs).map(name) {
        if names.contains(&wanted) {
            continue;
        }
        let other = |known: &(String, String)| {
            let base = wanted.1.rsplit_once(", ").map_or("", |(base, _)| base);
            known.0 == wanted.0 && (known.1 == base || known.1.rsplit_once(", ").is_some_and(|(of, _)| of == base))
        };
        let place = names.iter().rposition(other).filter(|_| wanted.1.matches(", ").count() > 1);
        names.insert(place.map_or(names.len(), |place| place + 1), wanted);
    }
    names.iter().map(|(case, what)| Row::new(case, what, rounds, held)).collect()
}

/// The geometric mean of the ratios of all convolutions or all networks; `None` if there are none.
pub(crate) fn together(rows: &[Row], case: &str) -> Option<Row> {
    let start = format!("{case} ");
    let of: Vec<&Row> = rows.iter().filter(|row| row.case.starts_with(&start) && row.ratio.is_some()).collect();
    let value = geometric(of.iter().filter_map(|row| Some(row.ratio?.value)))?;
    let rounds = of.iter().map(|row| row.rounds.len()).min().unwrap_or(0);
    let each: Vec<Option<f64>> = (0..rounds)
        .map(|round| of.iter().map(|row| row.rounds[round]).collect::<Option<Vec<f64>>>())
        .map(|ratios| geometric(ratios?.into_iter()))
        .collect();
    Some(Row {
        case: case.to_string(),
        what: bars::MEAN.to_string(),
        unit: None,
        ours: None,
        peer: None,
        ratio: spread(value, &each),
        rounds: each,
        bar: Bar::of(case, bars::MEAN),
        figure: None,
    })
}

fn find<'a>(figures: &'a [Figure], case: &str, names: &[&str]) -> Option<&'a Figure> {
    names.iter().find_map(|name| figures.iter().find(|figure| figure.case == case && figure.what == *name))
}

/// The ratio of ours to the peer's, above 1 if ours is better; `None` if either is not a positive number.
fn ratio(ours: f64, theirs: f64, rate: bool) -> Option<f64> {
    let good = |value: f64| value.is_finite() && value > 0.;
    (good(ours) && good(theirs)).then(|| if rate { ours / theirs } else { theirs / ours })
}

fn spread(value: f64, each: &[Option<f64>]) -> Option<Ratio> {
    let known = || each.iter().flatten().copied();
    // a side may be missing in every round; then only the ratio of the medians is known
    Some(Ratio { value, low: known().reduce(f64::min).unwrap_or(value), high: known().reduce(f64::max).unwrap_or(value) })
}

/// The median: the middle value, or the mean of the two middle ones.
fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    let high = *values.get(middle)?;
    Some(if values.len().is_multiple_of(2) { (values[middle - 1] + high) / 2. } else { high })
}

fn geometric(values: impl Iterator<Item = f64>) -> Option<f64> {
    let (sum, count) = values.fold((0., 0u32), |(sum, count), value| (sum + value.ln(), count + 1));
    (count > 0).then(|| (sum / f64::from(count)).exp())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figure(case: &str, what: &str, value: f64, unit: &str) -> Figure {
        Figure { case: case.into(), what: what.into(), value, unit: unit.into(), bytes: None, operations: None, limit: None }
    }

    fn round(ours: &[(&str, &str, f64, &str)], theirs: &[(&str, &str, f64, &str)]) -> Round {
        let all = |side: &[(&str, &str, f64, &str)]| side.iter().map(|(c, w, v, u)| figure(c, w, *v, u)).collect();
        Round { ours: all(ours), theirs: all(theirs) }
    }

    #[test]
    fn ratios_of_medians_point_one_way_with_their_spread() {
        let rounds: Vec<Round> = [(10., 5.), (12., 4.), (8., 8.)]
            .map(|(ours, theirs)| {
                round(
                    &[("a", "rate", ours, "images/s"), ("a", "time", theirs, "ms")],
                    &[("a", "rate", theirs, "images/s"), ("a", "time", ours, "ms")],
                )
            })
            .into();
        let rows = rows(&rounds, true);
        for row in &rows {
            assert_eq!(row.ratio, Some(Ratio { value: 2., low: 1., high: 3. }), "{}", row.what);
        }
        assert_eq!((rows[0].ours, rows[0].peer, rows[1].ours), (Some(10.), Some(5.), Some(5.)));
    }

    #[test]
    fn other_forms_are_set_against_the_plain_one_and_missing_sides_have_no_ratio() {
        let ours = [
            ("wrn40_2", "train, SelfNorm", 30., "images/s"),
            ("wrn40_2", "inference, SelfNorm", 90., "images/s"),
            ("own", "b", 1., "ms"),
        ];
        let theirs = [
            ("wrn40_2", "train, SelfNorm", 20., "images/s"),
            ("wrn40_2", "train, SelfNorm, compiled", 24., "images/s"),
            ("wrn40_2", "inference, SelfNorm, ONNX Runtime", 100., "images/s"),
            ("theirs", "b", 0., "MB"),
        ];
        let rows = rows(&[round(&ours, &theirs)], true);
        let found: Vec<_> = rows.iter().map(|row| (row.what.as_str(), row.ratio.map(|ratio| ratio.value), row.holds())).collect();
        let wanted = [
            ("train, SelfNorm", Some(1.5), None),
            ("train, SelfNorm, compiled", Some(1.25), Some(true)),
            ("inference, SelfNorm", None, None),
            ("inference, SelfNorm, ONNX Runtime", Some(0.9), Some(false)),
            ("b", None, None),
            ("b", None, None),
        ];
        assert_eq!(found, wanted);
    }

    #[test]
    fn convolutions_have_a_geometric_mean() {
        let side = |a: f64, b: f64| [("conv3x3 1", "forward (1)", a, "ms"), ("conv3x3 2", "forward (1)", b, "ms")];
        let rows = rows(&[round(&side(1., 1.), &side(1., 4.)), round(&side(1., 1.), &side(4., 4.))], true);
        let mean = together(&rows, bars::CONVOLUTION).unwrap();
        assert_eq!(mean.rounds.len(), 2);
        let ratio = mean.ratio.unwrap();
        assert!((ratio.value - 10f64.sqrt()).abs() < 1e-9 && (ratio.low - 2.).abs() < 1e-9 && (ratio.high - 4.).abs() < 1e-9);
        assert_eq!(mean.holds(), Some(true));
        assert!(together(&[], bars::CONVOLUTION).is_none());
    }
}
