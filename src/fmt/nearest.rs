//! Finds the known name that a misspelled one most likely means.

/// The one of `names` that differs from `name` in at most a third of its letters, ignoring case.
pub fn nearest<T: AsRef<str>>(name: &str, names: impl Iterator<Item = T>) -> Option<T> {
    let name = name.to_lowercase();
    let distance = |known: &T| {
        let known = known.as_ref().to_lowercase();
        strsim::damerau_levenshtein(&name, &known)
    };
    let (distance, best) = names
        .map(|known| (distance(&known), known))
        .min_by_key(|(distance, _)| *distance)?;
    (distance <= best.as_ref().len().div_ceil(3)).then_some(best)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_third_of_the_letters_may_differ() {
        let names = ["ring", "verbose", "ESTABLISHED", "min-ms"];
        let near = |name| nearest(name, names.into_iter());
        assert_eq!(near("rign"), Some("ring"));
        assert_eq!(near("RING"), Some("ring"));
        assert_eq!(near("min_ms"), Some("min-ms"));
        assert_eq!(near("establishd"), Some("ESTABLISHED"));
        assert_eq!(near("rg"), Some("ring"));
        assert_eq!(near("r"), None);
        assert_eq!(near("waterline"), None);
        assert_eq!(nearest("ring", [""; 0].into_iter()), None);
    }
}
