//! What is wrong with the numbers of a sentence.

const NOUNS: &[(&str, &str)] = &[
    ("address", "addresses"),
    ("byte", "bytes"),
    ("call", "calls"),
    ("client", "clients"),
    ("connection", "connections"),
    ("descriptor", "descriptors"),
    ("destination", "destinations"),
    ("end", "ends"),
    ("handshake", "handshakes"),
    ("listener", "listeners"),
    ("peer", "peers"),
    ("port", "ports"),
    ("process", "processes"),
    ("request", "requests"),
    ("reset", "resets"),
    ("second", "seconds"),
    ("segment", "segments"),
    ("socket", "sockets"),
    ("source", "sources"),
    ("time", "times"),
];
/// Words between a number and its noun.
const ADJECTIVES: &[&str] = &["different", "failed", "half-open", "local", "open", "other"];
const VERBS: &[(&str, &str)] = &[
    ("belongs", "belong"),
    ("does", "do"),
    ("has", "have"),
    ("is", "are"),
    ("sends", "send"),
    ("takes", "take"),
    ("gets", "get"),
    ("waits", "wait"),
];
/// Before a number that is not the subject of its clause.
const PREPOSITIONS: &[&str] = &["from", "of", "than", "the", "to", "with"];

/// A word without the punctuation around it.
fn bare(word: &str) -> &str {
    word.trim_matches([',', ';', ':', '(', ')', '.'])
}

fn ends_clause(word: &str) -> bool {
    word.ends_with([',', ';', ':', ')'])
}

fn number(word: &str) -> Option<u64> {
    bare(word).parse().ok()
}

/// The first fault of an English sentence; `None`: there is none.
pub fn english(text: &str) -> Option<String> {
    let words: Vec<_> = text.split(' ').collect();
    let counts = (0..words.len()).find_map(|at| agreement(&words, at));
    counts.or_else(|| parts(&words)).or_else(|| spaces(text))
}

/// Noun and verb after a number.
fn agreement(words: &[&str], at: usize) -> Option<String> {
    let count = number(words[at]).filter(|_| !ends_clause(words[at]))?;
    let is_subject = at == 0 || !PREPOSITIONS.contains(&words[at - 1]);
    let rest = words[at + 1..].iter().map(|word| bare(word));
    let noun = rest.clone().find(|word| !ADJECTIVES.contains(word))?;
    let known = NOUNS
        .iter()
        .find(|(one, more)| [one, more].contains(&&noun));
    let (one, more) = known?;
    let wrong = if count == 1 { more } else { one };
    if noun == *wrong {
        return Some(format!("{count} {noun}"));
    }
    let ended = words[at + 1..].iter().position(|word| ends_clause(word));
    let end = ended.map_or(words.len(), |ended| at + 2 + ended);
    // `to send` does not depend on the number.
    let pairs = words[at..end].windows(2).filter(|pair| pair[0] != "to");
    let clause = pairs.map(|pair| bare(pair[1]));
    let wrong = |word: &str| {
        let of_many = |(one, more): &(&str, &str)| word == if count == 1 { *more } else { *one };
        VERBS.iter().any(of_many)
    };
    let mut verbs = clause.filter(|word| is_subject && wrong(word));
    verbs.next().map(|verb| format!("{count} {noun} {verb}"))
}

/// `x of y` and `x of them`, where x is more.
fn parts(words: &[&str]) -> Option<String> {
    let all = words.iter().find_map(|word| number(word));
    let fault = |at: usize| {
        let part = number(words[at])?;
        let mut rest = words[at + 1..].iter().filter(|word| **word != "the");
        let whole = match (*rest.next()?, *rest.next()?) {
            ("of", word) if bare(word) == "them" => all?,
            ("of", word) => number(word)?,
            _ => return None,
        };
        (part > whole).then(|| format!("{part} of {whole}"))
    };
    (0..words.len()).find_map(fault)
}

fn spaces(text: &str) -> Option<String> {
    let faults = [
        "  ", " ()", "( ", " )", " ,", ",,", "（）", "（，", "：，", "{", "}",
    ];
    let found = faults.iter().find(|fault| text.contains(**fault));
    let untrimmed = (text.trim() != text).then(|| "spaces around it".to_owned());
    found.map(|fault| format!("{fault:?}")).or(untrimmed)
}

/// The first fault of a Chinese sentence; `None`: there is none.
pub fn chinese(text: &str) -> Option<String> {
    let mut last = None;
    let mut is_part = false;
    for word in text.split(' ') {
        if let Ok(number) = word.parse::<u64>() {
            let whole = last.filter(|whole| is_part && number > *whole);
            if let Some(whole) = whole {
                return Some(format!("{number} of {whole}"));
            }
            last = Some(number);
        }
        is_part = word.ends_with("其中");
    }
    spaces(text)
}

#[test]
fn faults_are_found() {
    for (text, fault) in [
        ("1 connections of 10.0.0.1:80", Some("1 connections")),
        ("2 connection of 10.0.0.1:80", Some("2 connection")),
        ("it has 1 local ports", Some("1 ports")),
        ("(1 addresses, 2 ports)", Some("1 addresses")),
        (
            "1 connection of 10.0.0.1:80 wait",
            Some("1 connection wait"),
        ),
        (
            "2 connections with 1 source waits",
            Some("2 connections waits"),
        ),
        ("2 connections with 1 source wait", None),
        ("so that 2 sources gets a reset", Some("2 sources gets")),
        ("150 connections, 300 of them have", Some("300 of 150")),
        ("9 of the 8 local ports", Some("9 of 8")),
        ("the limit () is", Some("\" ()\"")),
        ("a  b", Some("\"  \"")),
        ("1 of the 100 local ports for x is used", None),
        (
            "70 of the 100 local ports for x are used, 60 of them by y",
            None,
        ),
        (
            "7/nginx does not accept: the queue is full (2 waiting, limit 1)",
            None,
        ),
        (
            "1 connection was closed by both ends, their FINs crossed",
            None,
        ),
    ] {
        assert_eq!(english(text).as_deref(), fault, "{text}");
    }
    assert!(chinese("有 3 个连接，其中 4 个没有").is_some());
    assert_eq!(chinese("有 3 个连接，其中 3 个没有"), None);
    assert!(chinese("已满（）").is_some());
}
