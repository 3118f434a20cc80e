//! The arithmetic of scenario files: `${30*24*3600}`, `${$t0 + 10}`, `${range 4800 ${timeout} 5400}`.
//!
//! In: text, and what its names stand for. Out: a number of seconds. Products before sums; no brackets but `${…}`.

/// Deepest nesting that is read.
const DEPTH_MAX: u8 = 32;

/// A value that is computed when its step comes.
#[derive(Clone, Debug, PartialEq)]
pub enum Expression {
    /// A number.
    Number(f64),
    /// The value of a name that was assigned.
    Value(String),
    /// The virtual time, in seconds since 1970.
    Time,
    /// Seconds until the next timer of the server under test.
    NextTimer,
    /// The middle value, which must not be less than the first or more than the last.
    Within(Box<[Self; 3]>),
    /// Two values and what stands between them.
    Pair(Box<[Self; 2]>, char),
}

/// What names stand for.
pub trait Values {
    /// An assigned value.
    fn value(&self, name: &str) -> Option<f64>;
    /// Seconds since 1970.
    fn time_s(&self) -> f64;
    /// Seconds until the next timer.
    fn next_timer_s(&self) -> f64;
}

impl Expression {
    /// Reads an expression; none if it is not one.
    pub fn read(text: &str) -> Option<Self> {
        let mut words = Words { rest: text, depth: 0 };
        let value = words.sum()?;
        words.rest.trim().is_empty().then_some(value)
    }

    /// The value; none if a name has none or a range does not hold.
    pub fn evaluate(&self, values: &impl Values) -> Option<f64> {
        Some(match self {
            Self::Number(number) => *number,
            Self::Value(name) => values.value(name)?,
            Self::Time => values.time_s(),
            Self::NextTimer => values.next_timer_s(),
            Self::Within(parts) => {
                let [low, value, high] =
                    [parts[0].evaluate(values)?, parts[1].evaluate(values)?, parts[2].evaluate(values)?];
                (low <= value && value <= high).then_some(value)?
            }
            Self::Pair(parts, sign) => {
                let [left, right] = [parts[0].evaluate(values)?, parts[1].evaluate(values)?];
                match sign {
                    '*' => left * right,
                    '/' => left / right,
                    '-' => left - right,
                    _ => left + right,
                }
            }
        })
    }
}

struct Words<'a> {
    rest: &'a str,
    /// Values that are open.
    depth: u8,
}

impl Words<'_> {
    fn sum(&mut self) -> Option<Expression> {
        let mut left = self.product()?;
        while let Some(sign) = self.sign(&['+', '-']) {
            left = Expression::Pair(Box::new([left, self.product()?]), sign);
        }
        Some(left)
    }

    fn product(&mut self) -> Option<Expression> {
        let mut left = self.value()?;
        while let Some(sign) = self.sign(&['*', '/']) {
            left = Expression::Pair(Box::new([left, self.value()?]), sign);
        }
        Some(left)
    }

    fn value(&mut self) -> Option<Expression> {
        self.depth += 1;
        let value = (self.depth <= DEPTH_MAX).then(|| self.value_within()).flatten();
        self.depth -= 1;
        value
    }

    fn value_within(&mut self) -> Option<Expression> {
        self.rest = self.rest.trim_start();
        if let Some(inside) = self.rest.strip_prefix("${") {
            self.rest = inside;
            let value = self.sum()?;
            self.rest = self.rest.trim_start().strip_prefix('}')?;
            return Some(value);
        }
        if let Some(name) = self.rest.strip_prefix('$') {
            self.rest = name;
            return Some(Expression::Value(self.word().to_owned()));
        }
        match self.word() {
            "time" => Some(Expression::Time),
            "timeout" => Some(Expression::NextTimer),
            "range" => Some(Expression::Within(Box::new([self.value()?, self.value()?, self.value()?]))),
            number => number.parse().ok().map(Expression::Number),
        }
    }

    fn word(&mut self) -> &str {
        let end = self.rest.find(|letter: char| !letter.is_alphanumeric() && letter != '.' && letter != '_');
        let (word, rest) = self.rest.split_at(end.unwrap_or(self.rest.len()));
        self.rest = rest;
        word
    }

    fn sign(&mut self, of: &[char]) -> Option<char> {
        let rest = self.rest.trim_start();
        let sign = rest.chars().next().filter(|sign| of.contains(sign))?;
        self.rest = &rest[sign.len_utf8()..];
        Some(sign)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Known;

    impl Values for Known {
        fn value(&self, name: &str) -> Option<f64> {
            (name == "t0").then_some(1000.0)
        }

        fn time_s(&self) -> f64 {
            5.0
        }

        fn next_timer_s(&self) -> f64 {
            5000.0
        }
    }

    #[test]
    fn values_are_computed_with_the_usual_precedence() {
        for (text, value) in [
            ("10", Some(10.0)),
            ("${30*24*3600}", Some(2_592_000.0)),
            ("${$t0 + 2*3}", Some(1006.0)),
            ("${time}", Some(5.0)),
            ("${range 4800 ${timeout} 5400}", Some(5000.0)),
            ("${range 1 ${timeout} 2}", None),
            ("$t1", None),
        ] {
            assert_eq!(Expression::read(text).unwrap().evaluate(&Known), value, "{text}");
        }
        assert!(
            Expression::read("1 2").is_none() && Expression::read("${1").is_none() && Expression::read("x").is_none()
        );
        assert!(Expression::read(&"${".repeat(100_000)).is_none(), "nesting is bounded");
    }
}
