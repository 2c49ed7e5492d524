//! From values to pixels, and where ticks stand.

use super::spec::AxisSpec;

/// A linear or logarithmic map from a range of values to a range of pixels.
#[derive(Clone, Debug, PartialEq)]
pub struct Scale {
    pub min: f64,
    pub max: f64,
    log: bool,
    /// What it shows is counted: there is no tick at two and a half.
    whole: bool,
    pixels: (f64, f64),
}

/// Whether all values are whole numbers, and far enough apart that ticks at such are enough.
pub fn counted(values: impl Iterator<Item = f64>) -> bool {
    let all = values.filter(|value| value.is_finite()).try_fold(None, |range: Option<(f64, f64)>, v| {
        (v.fract() == 0.0).then(|| Some(range.map_or((v, v), |(min, max)| (min.min(v), max.max(v)))))
    });
    all.flatten().is_some_and(|(min, max)| max - min >= 2.0)
}

/// The least and the largest of the values that `axis` can show.
pub fn extent(values: impl Iterator<Item = f64>, axis: &AxisSpec) -> Option<(f64, f64)> {
    values
        .filter(|value| value.is_finite() && (!axis.log || *value > 0.0))
        .fold(None, |range, v| Some(range.map_or((v, v), |(min, max): (f64, f64)| (min.min(v), max.max(v)))))
}

/// The range that an axis shows: what the manifest says, else that of the data with `margin` of it on both sides.
/// With `from_zero`, data that start near zero start at it.
pub fn range(data: Option<(f64, f64)>, axis: &AxisSpec, margin: f64, from_zero: bool) -> (f64, f64) {
    let (least, largest) = data.unwrap_or(if axis.log { (1.0, 10.0) } else { (0.0, 1.0) });
    let (low, high) =
        if axis.log { log_margins(least, largest, margin) } else { margins(least, largest, margin, from_zero) };
    let (min, max) = (axis.min.unwrap_or(low), axis.max.unwrap_or(high));
    if min < max { (min, max) } else { (min, min + 1.0) }
}

fn margins(least: f64, largest: f64, margin: f64, from_zero: bool) -> (f64, f64) {
    let span = largest - least;
    let pad = if span > 0.0 { span * margin } else { (largest.abs() * 0.1).max(0.5) };
    let starts_near_zero = from_zero && least >= 0.0 && least <= 0.15 * span;
    let ends_near_zero = from_zero && largest <= 0.0 && -largest <= 0.15 * span;
    (if starts_near_zero { 0.0 } else { least - pad }, if ends_near_zero { 0.0 } else { largest + pad })
}

fn log_margins(least: f64, largest: f64, margin: f64) -> (f64, f64) {
    let factor = if least < largest { (largest / least).powf(margin) } else { 2.0 };
    (least / factor, largest * factor)
}

impl Scale {
    /// A scale that shows `range` between two pixels.
    pub fn new(range: (f64, f64), pixels: (f64, f64), axis: &AxisSpec) -> Self {
        let pixels = if axis.reverse { (pixels.1, pixels.0) } else { pixels };
        Self { min: range.0, max: range.1, log: axis.log, whole: false, pixels }
    }

    /// The same, its ticks at whole numbers alone where it shows such.
    pub fn counting(self, whole: bool) -> Self {
        Self { whole, ..self }
    }

    /// The pixel of a value; NaN for what the scale cannot show.
    pub fn at(&self, value: f64) -> f64 {
        let t = if self.log {
            (value.ln() - self.min.ln()) / (self.max.ln() - self.min.ln())
        } else {
            (value - self.min) / (self.max - self.min)
        };
        self.pixels.0 + t * (self.pixels.1 - self.pixels.0)
    }

    pub fn shows(&self, value: f64) -> bool {
        let slack = (self.max - self.min) * 1e-9;
        value >= self.min - slack && value <= self.max + slack
    }

    /// About `about` round values inside the range, and their labels.
    pub fn ticks(&self, wanted: Option<&[f64]>, about: usize) -> Vec<(f64, String)> {
        match wanted {
            Some(values) => {
                let decimals = values.iter().map(|value| decimals_of(*value)).max().unwrap_or(0);
                values.iter().filter(|v| self.shows(**v)).map(|v| (*v, fixed(*v, decimals))).collect()
            }
            None if self.log && self.max / self.min >= 10.0 => self.decades(about),
            None => self.round_steps(about),
        }
    }

    fn round_steps(&self, about: usize) -> Vec<(f64, String)> {
        let step = round_step((self.max - self.min) / about.max(1) as f64, self.whole);
        let (first, last) = ((self.min / step - 1e-9).ceil() as i64, (self.max / step + 1e-9).floor() as i64);
        let exponent = step.log10().floor() as i32;
        if !(-4..5).contains(&exponent) {
            return (first..=last).map(|i| (i as f64 * step, scientific(i as f64 * step))).collect();
        }
        let decimals = decimals_of(step);
        (first..=last).map(|i| (i as f64 * step, fixed(i as f64 * step, decimals))).collect()
    }

    /// Powers of ten; where there are hardly any, twice and five times them too.
    fn decades(&self, about: usize) -> Vec<(f64, String)> {
        let (first, last) = ((self.min.log10() - 1e-9).ceil() as i32, (self.max.log10() + 1e-9).floor() as i32);
        if last - first < 2 {
            let between = (first - 1..=last).flat_map(|power| [1.0, 2.0, 5.0].map(|times| (times, power)));
            let ticks = between.map(|(times, power)| (times * 10f64.powi(power), product(times, power)));
            return ticks.filter(|(value, _)| self.shows(*value)).collect();
        }
        let every = ((last - first) as usize / about.max(1) + 1) as i32;
        let powers = (first..=last).filter(|power| power.rem_euclid(every) == 0);
        powers.map(|power| (10f64.powi(power), product(1.0, power))).collect()
    }
}

/// Some times a power of ten, written out where that is short.
fn product(times: f64, power: i32) -> String {
    match power {
        -3..4 => fixed(times * 10f64.powi(power), (-power).max(0) as usize),
        _ if times == 1.0 => format!("10{}", superscript(power)),
        _ => format!("{times}×10{}", superscript(power)),
    }
}

/// The one of 1, 2, 2.5, 5 and 10 times a power of ten that is nearest to `rough`, by ratio; of those that are `whole`, where
/// that is asked.
fn round_step(rough: f64, whole: bool) -> f64 {
    let power = 10f64.powf(rough.log10().floor());
    let ratio = |step: f64| (step / rough).ln().abs();
    let steps = [1.0, 2.0, 2.5, 5.0, 10.0].map(|times| times * power).into_iter();
    let steps = steps.filter(|step| !whole || (*step >= 1.0 && step.fract() == 0.0));
    steps.min_by(|a, b| ratio(*a).total_cmp(&ratio(*b))).unwrap_or(1.0)
}

/// How many decimals a round number needs, at most six.
fn decimals_of(value: f64) -> usize {
    (0..6).find(|&d| (value * 10f64.powi(d) - (value * 10f64.powi(d)).round()).abs() < 1e-6).unwrap_or(6) as usize
}

/// A number with so many decimals, with a true minus sign.
pub fn fixed(value: f64, decimals: usize) -> String {
    let text = format!("{:.decimals$}", value.abs());
    let negative = value < 0.0 && text.chars().any(|c| c.is_ascii_digit() && c != '0');
    if negative { format!("\u{2212}{text}") } else { text }
}

fn scientific(value: f64) -> String {
    if value == 0.0 {
        return "0".to_owned();
    }
    let exponent = (value.abs().log10() + 1e-9).floor() as i32;
    let mantissa = value / 10f64.powi(exponent);
    format!("{}×10{}", fixed(mantissa, decimals_of(mantissa)), superscript(exponent))
}

fn superscript(number: i32) -> String {
    let digit = |c| match c {
        '-' => '⁻',
        '0' => '⁰',
        '1' => '¹',
        '2' => '²',
        '3' => '³',
        other => char::from_u32('⁴' as u32 + (other as u32 - '4' as u32)).unwrap_or(other),
    };
    number.to_string().chars().map(digit).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(min: f64, max: f64, log: bool) -> Vec<String> {
        let axis = AxisSpec { log, ..AxisSpec::default() };
        let ticks = Scale::new((min, max), (0.0, 100.0), &axis).ticks(None, 5);
        ticks.into_iter().map(|(_, label)| label).collect()
    }

    #[test]
    fn ticks_are_round_and_equally_precise() {
        assert_eq!(labels(0.0, 1.0, false), ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]);
        assert_eq!(labels(-0.1, 0.1, false), ["−0.10", "−0.05", "0.00", "0.05", "0.10"].map(String::from));
        assert_eq!(labels(0.0, 128.0, false), ["0", "25", "50", "75", "100", "125"]);
        assert_eq!(labels(0.0, 4e-6, false)[1], "1×10⁻⁶");
        assert_eq!(labels(0.001, 100_000.0, true).last().map(String::as_str), Some("10⁴"));
    }

    #[test]
    fn a_short_logarithmic_axis_has_ticks_between_its_powers() {
        assert_eq!(labels(0.004, 0.12, true), ["0.005", "0.01", "0.02", "0.05", "0.1"]);
        assert_eq!(labels(1.5e4, 2.5e5, true), ["2×10⁴", "5×10⁴", "10⁵", "2×10⁵"]);
        assert_eq!(labels(0.004, 2.0, true), ["0.01", "0.1", "1"]);
    }

    #[test]
    fn what_is_counted_has_whole_ticks() {
        let axis = AxisSpec::default();
        let ticks = |range, whole| {
            let ticks = Scale::new(range, (0.0, 100.0), &axis).counting(whole).ticks(None, 5);
            ticks.into_iter().map(|(_, label)| label).collect::<Vec<_>>()
        };
        assert_eq!(ticks((0.0, 13.0), true), ["0", "2", "4", "6", "8", "10", "12"]);
        assert_eq!(ticks((0.0, 13.0), false), ["0.0", "2.5", "5.0", "7.5", "10.0", "12.5"]);
        assert_eq!(ticks((0.0, 3.2), true), ["0", "1", "2", "3"]);
        let whole = |values: &[f64]| counted(values.iter().copied());
        assert!(whole(&[13.0, 5.0, f64::NAN]) && !whole(&[1.0, 2.5, 9.0]) && !whole(&[0.0, 1.0]) && !whole(&[]));
    }

    #[test]
    fn a_reversed_scale_runs_the_other_way() {
        let axis = AxisSpec { reverse: true, ..AxisSpec::default() };
        assert_eq!(Scale::new((0.0, 10.0), (0.0, 100.0), &axis).at(2.0), 80.0);
    }

    #[test]
    fn data_near_zero_start_at_zero_and_others_get_a_margin() {
        let axis = AxisSpec::default();
        assert_eq!(range(Some((0.01, 4.6)), &axis, 0.05, true).0, 0.0);
        let (low, high) = range(Some((10.0, 12.0)), &axis, 0.05, true);
        assert!((low - 9.9).abs() < 1e-12 && (high - 12.1).abs() < 1e-12);
        assert_eq!(extent([f64::NAN, 2.0, -1.0].into_iter(), &axis), Some((-1.0, 2.0)));
    }
}
