//! Colours that survive colour blindness and black-and-white print: Okabe and Ito's for series (Jfly, 2008), uniform
//! maps for matrices.

use std::fmt;

use super::spec::{Hue, Map};

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Rgb(pub u8, pub u8, pub u8);

pub const INK: Rgb = Rgb(0x22, 0x22, 0x22);
pub const RULE: Rgb = Rgb(0x44, 0x44, 0x44);
pub const GRID: Rgb = Rgb(0xe4, 0xe4, 0xe4);
/// A shaded range: light enough for every mark and for the grid's neighbours to be seen on it.
pub const ZONE: Rgb = Rgb(0xf0, 0xec, 0xdc);
pub const PAPER: Rgb = Rgb(0xff, 0xff, 0xff);
/// Cells without a value: no map has it.
pub const MISSING: Rgb = Rgb(0xe9, 0xe9, 0xe9);

/// The colours of series that name none, in order.
const CYCLE: [Hue; 7] = [Hue::Blue, Hue::Vermillion, Hue::Green, Hue::Purple, Hue::Orange, Hue::Sky, Hue::Black];

impl Hue {
    pub fn nth(index: usize) -> Self {
        CYCLE[index % CYCLE.len()]
    }

    pub fn rgb(self) -> Rgb {
        match self {
            Self::Blue => Rgb(0, 114, 178),
            Self::Vermillion => Rgb(213, 94, 0),
            Self::Green => Rgb(0, 158, 115),
            Self::Purple => Rgb(204, 121, 167),
            Self::Sky => Rgb(86, 180, 233),
            Self::Orange => Rgb(230, 159, 0),
            Self::Black => Rgb(0, 0, 0),
            Self::Grey => Rgb(120, 120, 120),
        }
    }
}

impl Map {
    /// The colour at `t` from 0 to 1.
    pub fn at(self, t: f64) -> Rgb {
        let t = t.clamp(0.0, 1.0);
        let color = match self {
            Self::Viridis => colorous::VIRIDIS.eval_continuous(t),
            Self::Cividis => colorous::CIVIDIS.eval_continuous(t),
            Self::Magma => colorous::MAGMA.eval_continuous(t),
            Self::BlueRed => colorous::RED_BLUE.eval_continuous(1.0 - t),
        };
        Rgb(color.r, color.g, color.b)
    }
}

impl Rgb {
    /// A part of the way from this colour to another.
    pub fn towards(self, other: Self, part: f64) -> Self {
        let mix = |a: u8, b: u8| (f64::from(a) + (f64::from(b) - f64::from(a)) * part).round() as u8;
        Self(mix(self.0, other.0), mix(self.1, other.1), mix(self.2, other.2))
    }

    /// Ink or paper, whichever is read better on this colour.
    pub fn legible(self) -> Rgb {
        let luma = 0.299 * f64::from(self.0) + 0.587 * f64::from(self.1) + 0.114 * f64::from(self.2);
        if luma > 140.0 { INK } else { PAPER }
    }
}

impl fmt::Display for Rgb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{:02x}{:02x}{:02x}", self.0, self.1, self.2)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn luma(color: Rgb) -> f64 {
        0.2126 * f64::from(color.0) + 0.7152 * f64::from(color.1) + 0.0722 * f64::from(color.2)
    }

    #[test]
    fn sequential_maps_grow_lighter_all_the_way() {
        for map in [Map::Viridis, Map::Cividis, Map::Magma] {
            let lumas: Vec<_> = (0..=20).map(|i| luma(map.at(f64::from(i) / 20.0))).collect();
            assert!(lumas.windows(2).all(|pair| pair[0] < pair[1]), "{map:?}: {lumas:?}");
        }
    }

    #[test]
    fn the_diverging_map_is_blue_below_red_above_and_light_between() {
        let [low, middle, high] = [0.0, 0.5, 1.0].map(|t| Map::BlueRed.at(t));
        assert!(low.2 > low.0 && high.0 > high.2 && luma(middle) > 230.0);
    }

    #[test]
    fn text_on_a_cell_contrasts_with_it() {
        assert_eq!(Map::Viridis.at(0.0).legible(), PAPER);
        assert_eq!(Map::Viridis.at(1.0).legible(), INK);
    }
}
