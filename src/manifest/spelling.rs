//! Which of the known names was meant.

/// The candidate nearest to `word`, if it is near enough to be a slip of the fingers.
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    if word.parse::<f64>().is_ok() {
        return None; // one number is not the misspelling of another
    }
    let word = folded(word);
    let length = word.chars().count();
    let farthest = (length / 3).max(1).min(length.saturating_sub(1));
    candidates
        .into_iter()
        .map(|candidate| (strsim::osa_distance(&word, &folded(candidate)), candidate))
        .filter(|(distance, _)| *distance <= farthest)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// What a reader should do about a name that is not among `known`: the nearest, and the list where it is short.
pub fn suggest<'a>(word: &str, what: &str, known: impl IntoIterator<Item = &'a str> + Clone) -> Option<String> {
    const LONGEST_LIST: usize = 24;
    let near = nearest(word, known.clone()).map(|near| format!("did you mean `{near}`?"));
    let names: Vec<_> = known.into_iter().collect();
    let list = match names.len() {
        0 => Some(format!("there are no {what}")),
        1..=LONGEST_LIST => Some(format!("{what}: {}", names.join(", "))),
        _ => None,
    };
    match (near, list) {
        (Some(near), Some(list)) => Some(format!("{near} ({list})")),
        (near, list) => near.or(list),
    }
}

/// Case and the choice between `-` and `_` are the smallest slips.
fn folded(word: &str) -> String {
    const LONGEST: usize = 100;
    word.chars().take(LONGEST).map(|c| if c == '_' { '-' } else { c.to_ascii_lowercase() }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_are_found_and_strangers_are_not() {
        let known = ["source", "dtype", "chat-template", "k"];
        assert_eq!(nearest("soruce", known), Some("source"));
        assert_eq!(nearest("chat_template", known), Some("chat-template"));
        assert_eq!(nearest("Dtype", known), Some("dtype"));
        assert_eq!(nearest("revision", known), None);
        assert_eq!(nearest("", ["abc"]), None);
        assert_eq!(nearest("x", ["k"]), None);
        assert_eq!(nearest("0.3", ["0.1"]), None);
    }

    #[test]
    fn the_nearest_of_several_wins() {
        assert_eq!(nearest("layer", ["layers", "layer-norm", "player", "layer"]), Some("layer"));
    }

    #[test]
    fn the_list_is_given_where_it_is_short() {
        assert_eq!(
            suggest("sorce", "known keys", ["source", "dtype"]).unwrap(),
            "did you mean `source`? (known keys: source, dtype)"
        );
        assert_eq!(suggest("x", "parameters", []).unwrap(), "there are no parameters");
        let many: Vec<_> = (0..99).map(|i| format!("name-{i}")).collect();
        assert_eq!(suggest("other", "names", many.iter().map(String::as_str)), None);
    }
}
