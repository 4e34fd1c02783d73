//! Label selectors as text.

use crate::{
    content::{label_value, qualified_name},
    selector::{Requirement, Test},
};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Word,
    Open,
    Close,
    Comma,
    Not,
    Equal,
    NotEqual,
    In,
    NotIn,
    More,
    Less,
    Odd,
    End,
}

#[derive(Clone, Copy, Debug)]
struct Token<'a> {
    kind: Kind,
    text: &'a str,
}

const OPERATORS: &str = "in, notin, =, ==, !=, gt, lt";

/// The requirements of a selector, or what the server says of it.
pub(crate) fn parse(text: &str) -> Result<Vec<Requirement>, String> {
    let mut parser = Parser { rest: text };
    let mut requirements = Vec::new();
    loop {
        let next = parser.look();
        match next.kind {
            Kind::End => return Ok(requirements),
            Kind::Word | Kind::Not | Kind::In | Kind::NotIn => {}
            _ => return Err(format!("found '{}', expected: !, identifier, or 'end of string'", next.text)),
        }
        let requirement = parser.requirement().map_err(|words| format!("unable to parse requirement: {words}"))?;
        requirements.push(requirement);
        let behind = parser.take();
        match behind.kind {
            Kind::End => return Ok(requirements),
            Kind::Comma => {
                let next = parser.look();
                if !matches!(next.kind, Kind::Word | Kind::Not | Kind::In | Kind::NotIn) {
                    return Err(format!("found '{}', expected: identifier after ','", next.text));
                }
            }
            _ => return Err(format!("found '{}', expected: ',' or 'end of string'", behind.text)),
        }
    }
}

struct Parser<'a> {
    rest: &'a str,
}

impl<'a> Parser<'a> {
    fn look(&self) -> Token<'a> {
        token(self.rest).0
    }

    fn take(&mut self) -> Token<'a> {
        let (token, rest) = token(self.rest);
        self.rest = rest;
        token
    }

    /// A word, also where it could be an operator.
    fn word(&mut self) -> Result<&'a str, &'a str> {
        let token = self.take();
        if matches!(token.kind, Kind::Word | Kind::In | Kind::NotIn) { Ok(token.text) } else { Err(token.text) }
    }

    fn requirement(&mut self) -> Result<Requirement, String> {
        let not = self.look().kind == Kind::Not;
        if not {
            self.take();
        }
        let key = self.word().map_err(|text| format!("found '{text}', expected: identifier"))?;
        invalid("<nil>", key, &qualified_name(key))?;
        let key = key.to_owned();
        if not {
            return Ok(Requirement { key, test: Test::Missing });
        }
        if matches!(self.look().kind, Kind::End | Kind::Comma) {
            return Ok(Requirement { key, test: Test::Exists });
        }
        let operator = self.take();
        let test = match operator.kind {
            Kind::In => Test::In(self.values()?),
            Kind::NotIn => Test::NotIn(self.values()?),
            Kind::Equal => Test::In(vec![self.value()?]),
            Kind::NotEqual => Test::NotIn(vec![self.value()?]),
            Kind::More => Test::More(self.number()?),
            Kind::Less => Test::Less(self.number()?),
            _ => return Err(format!("found '{}', expected: {OPERATORS}", operator.text)),
        };
        if let Test::In(values) | Test::NotIn(values) = &test {
            for value in values {
                invalid(&format!("values[0][{key}]"), value, &label_value(value))?;
            }
        }
        Ok(Requirement { key, test })
    }

    fn value(&mut self) -> Result<String, String> {
        if matches!(self.look().kind, Kind::End | Kind::Comma) {
            return Ok(String::new());
        }
        self.word().map(str::to_owned).map_err(|text| format!("found '{text}', expected: identifier"))
    }

    fn number(&mut self) -> Result<i64, String> {
        let value = self.value()?;
        value.parse().map_err(|_| {
            format!("values[0]: Invalid value: {value:?}: for 'Gt', 'Lt' operators, the value must be an integer")
        })
    }

    fn values(&mut self) -> Result<Vec<String>, String> {
        let open = self.take();
        if open.kind != Kind::Open {
            return Err(format!("found '{}' expected: '('", open.text));
        }
        let first = self.look();
        match first.kind {
            Kind::Close => {
                self.take();
                return Ok(vec![String::new()]);
            }
            Kind::Word | Kind::In | Kind::NotIn | Kind::Comma => {}
            _ => return Err(format!("found '{}', expected: ',', ')' or identifier", first.text)),
        }
        let mut values = Vec::new();
        loop {
            let token = self.take();
            match token.kind {
                Kind::Word | Kind::In | Kind::NotIn => {
                    values.push(token.text.to_owned());
                    let behind = self.look();
                    match behind.kind {
                        Kind::Comma => {}
                        Kind::Close => break,
                        _ => return Err(format!("found '{}', expected: ',' or ')'", behind.text)),
                    }
                }
                Kind::Comma => {
                    if values.is_empty() || matches!(self.look().kind, Kind::Close | Kind::Comma) {
                        values.push(String::new());
                    }
                    if self.look().kind == Kind::Close {
                        break;
                    }
                }
                _ => return Err(format!("found '{}', expected: ',', or identifier", token.text)),
            }
        }
        self.take();
        values.sort();
        values.dedup();
        Ok(values)
    }
}

fn invalid(field: &str, value: &str, faults: &[String]) -> Result<(), String> {
    if faults.is_empty() { Ok(()) } else { Err(format!("{field}: Invalid value: {value:?}: {}", faults.join("; "))) }
}

/// The first token of a text, and what is behind it.
fn token(text: &str) -> (Token<'_>, &str) {
    const SPECIAL: &str = "=!(),<>";
    let text = text.trim_start();
    for (symbol, kind) in [
        ("==", Kind::Equal),
        ("!=", Kind::NotEqual),
        ("=", Kind::Equal),
        ("!", Kind::Not),
        ("(", Kind::Open),
        (")", Kind::Close),
        (",", Kind::Comma),
        (">", Kind::More),
        ("<", Kind::Less),
    ] {
        if let Some(rest) = text.strip_prefix(symbol) {
            return (Token { kind, text: &text[..symbol.len()] }, rest);
        }
    }
    let end = text.find(|letter: char| letter.is_whitespace() || SPECIAL.contains(letter)).unwrap_or(text.len());
    let (word, rest) = text.split_at(end);
    let kind = match word {
        "" if rest.is_empty() => Kind::End,
        "" => Kind::Odd,
        "in" => Kind::In,
        "notin" => Kind::NotIn,
        _ => Kind::Word,
    };
    (Token { kind, text: word }, rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_with_a_selector_is_told_as_the_real_server_tells_it() {
        for (text, words) in [
            ("=x", "found '=', expected: !, identifier, or 'end of string'"),
            ("a,,b", "found ',', expected: identifier after ','"),
            ("a,", "found '', expected: identifier after ','"),
            ("a b", "unable to parse requirement: found 'b', expected: in, notin, =, ==, !=, gt, lt"),
            ("a in x", "unable to parse requirement: found 'x' expected: '('"),
            ("!", "unable to parse requirement: found '', expected: identifier"),
            ("a=b=c", "found '=', expected: ',' or 'end of string'"),
            (
                "a>x",
                "unable to parse requirement: values[0]: Invalid value: \"x\": for 'Gt', 'Lt' operators, the value must \
                 be an integer",
            ),
        ] {
            assert_eq!(parse(text).expect_err(text), words, "{text}");
        }
    }
}
