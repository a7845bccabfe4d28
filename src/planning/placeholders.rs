//! The placeholders of a prompt's text. The values are filled in for the patient who reads it, and stored nowhere.
//!
//! | placeholder | value |
//! |---|---|
//! | `{therapist_name}` | a neutral word for the therapist |
//! | `{ex:key}` | the title of the exercise `key` |
//! | `{last_takeaway}` | the patient's newest takeaway |
//! | `{returned}` | what the patient wrote in the response that the prompt brings back, as the library quotes it |
//! | `{answer:key}` | what the patient wrote in their newest response to the exercise `key`, as the library quotes it |

/// Words of the patient that a text quotes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Quote {
    /// Their newest takeaway.
    Takeaway,
    /// Their newest response to this exercise.
    Answer(String),
    /// The response that the prompt brings back.
    Returned,
}

impl Quote {
    /// Returns its name, which stands between braces.
    pub fn name(&self) -> String {
        match self {
            Self::Takeaway => "last_takeaway".to_owned(),
            Self::Answer(exercise) => format!("answer:{exercise}"),
            Self::Returned => "returned".to_owned(),
        }
    }
}

/// A piece of a text.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Piece<'t> {
    /// Words that stand as they are.
    Text(&'t str),
    /// The therapist.
    TherapistName,
    /// The title of the exercise with this key.
    Exercise(&'t str),
    /// Words of the patient.
    Quote(Quote),
    /// Another name in braces: no placeholder of a prompt.
    Other(&'t str),
}

impl<'t> Piece<'t> {
    /// Parses what stands between braces.
    fn parse(name: &'t str) -> Self {
        match name.split_once(':') {
            Some(("ex", key)) => Self::Exercise(key),
            Some(("answer", key)) => Self::Quote(Quote::Answer(key.to_owned())),
            None if name == "therapist_name" => Self::TherapistName,
            None if name == "last_takeaway" => Self::Quote(Quote::Takeaway),
            None if name == "returned" => Self::Quote(Quote::Returned),
            _ => Self::Other(name),
        }
    }
}

/// Splits a text at its placeholders. A brace that is not closed is text.
pub fn pieces(text: &str) -> impl Iterator<Item = Piece<'_>> {
    let mut rest = text;
    let mut next = None;
    std::iter::from_fn(move || {
        if let Some(placeholder) = next.take() {
            return Some(placeholder);
        }
        if rest.is_empty() {
            return None;
        }
        let split = rest.split_once('{').and_then(|(before, after)| Some((before, after.split_once('}')?)));
        let Some((before, (name, after))) = split else { return Some(Piece::Text(std::mem::take(&mut rest))) };
        rest = after;
        next = Some(Piece::parse(name));
        if before.is_empty() { next.take() } else { Some(Piece::Text(before)) }
    })
}

/// Lists the words of the patient that `text` quotes.
pub fn quotes(text: &str) -> impl Iterator<Item = Quote> {
    pieces(text).filter_map(|piece| match piece {
        Piece::Quote(quote) => Some(quote),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_split_at_its_placeholders() {
        let of = |text| pieces(text).collect::<Vec<_>>();
        let plan = Quote::Answer("if-then-habit".to_owned());
        assert_eq!(of("plain"), [Piece::Text("plain")]);
        assert_eq!(of("{ex:slow} b { c"), [Piece::Exercise("slow"), Piece::Text(" b { c")]);
        assert_eq!(
            of("'{answer:if-then-habit}'{x}"),
            [Piece::Text("'"), Piece::Quote(plan.clone()), Piece::Text("'"), Piece::Other("x")]
        );
        assert_eq!(
            quotes("{last_takeaway} {therapist_name} {answer:if-then-habit}").collect::<Vec<_>>(),
            [Quote::Takeaway, plan.clone()]
        );
        assert!(of("").is_empty());
        for quote in [Quote::Takeaway, Quote::Returned, plan] {
            let text = format!("{{{}}}", quote.name());
            assert!(pieces(&text).eq([Piece::Quote(quote)]), "{text}");
        }
    }
}
