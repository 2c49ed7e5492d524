//! Names in the order of how much they look like a misspelt one.

/// `names`, those that look most like `name` first, by the part of them that differs; equally near ones keep their
/// order.
pub fn by_nearness<'n>(name: &str, names: impl Iterator<Item = &'n str>) -> Vec<&'n str> {
    let mut names: Vec<_> = names.collect();
    names.sort_by_cached_key(|other| {
        let longest = name.chars().count().max(other.chars().count()).max(1);
        distance(name, other) * 1000 / longest
    });
    names
}

/// Whether `name` is `other` with a slip or two.
pub fn is_misspelt(name: &str, other: &str) -> bool {
    name != other && distance(name, other) <= 2 && name.chars().count() > 3
}

/// Whether `name` is an axis of the cell with this id, whose labels stand in brackets: `runs[seed=42].table`. Where cells
/// are gathered over it, it is a column too.
pub fn is_axis_of(name: &str, id: &str) -> bool {
    let labels = id.split_once('[').and_then(|(_, rest)| rest.split_once(']')).map_or("", |(labels, _)| labels);
    labels.split(',').any(|label| label.split_once('=').is_some_and(|(axis, _)| axis == name))
}

/// Levenshtein's distance, in characters.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, to) in b.iter().enumerate() {
            let changed = diagonal + usize::from(from != *to);
            diagonal = row[j + 1];
            row[j + 1] = changed.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_stand_in_brackets() {
        assert!(is_axis_of("seed", "runs[decay=high_wd,seed=42].table"));
        assert!(!is_axis_of("step", "runs[decay=high_wd,seed=42].table") && !is_axis_of("seed", "runs.seed"));
    }

    #[test]
    fn the_distance_is_the_textbook_one() {
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("σ²", "σ"), 1);
    }

    #[test]
    fn the_nearest_name_comes_first() {
        let names = ["layer", "mean_kl_div", "std_kl_div"];
        assert_eq!(by_nearness("mean_kl", names.into_iter()), ["mean_kl_div", "std_kl_div", "layer"]);
    }
}
