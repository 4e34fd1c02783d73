//! What a check finds, graded, with what to do about it. Pure.

use std::fmt;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Grade {
    /// As it should be.
    Fine,
    /// Worth knowing; nothing has to be done.
    Note,
    /// Somebody has to do something.
    Amiss,
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// How bad it is.
    pub grade: Grade,
    /// What was found, and where.
    pub text: String,
    /// What to do.
    pub remedy: Option<String>,
}

impl Finding {
    /// As it should be.
    pub fn fine(text: impl Into<String>) -> Self {
        Self { grade: Grade::Fine, text: text.into(), remedy: None }
    }

    /// Worth knowing.
    pub fn note(text: impl Into<String>) -> Self {
        Self { grade: Grade::Note, text: text.into(), remedy: None }
    }

    /// Wrong.
    pub fn amiss(text: impl Into<String>) -> Self {
        Self { grade: Grade::Amiss, text: text.into(), remedy: None }
    }

    /// With what to do about it.
    #[must_use]
    pub fn remedy(mut self, remedy: impl Into<String>) -> Self {
        self.remedy = Some(remedy.into());
        self
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mark = match self.grade {
            Grade::Fine => "ok",
            Grade::Note => "--",
            Grade::Amiss => "!!",
        };
        write!(f, "  {mark}  {}", self.text)?;
        match &self.remedy {
            Some(remedy) => write!(f, "\n      => {remedy}"),
            None => Ok(()),
        }
    }
}

/// Counts what is amiss.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Tally {
    amiss: usize,
}

impl Tally {
    /// Counts a section's findings, and answers with its text.
    #[must_use]
    pub fn section(&mut self, title: &str, findings: &[Finding]) -> String {
        self.amiss += findings.iter().filter(|finding| finding.grade == Grade::Amiss).count();
        findings.iter().fold(format!("{title}\n"), |text, finding| text + &format!("{finding}\n"))
    }

    /// Whether nothing was.
    #[must_use]
    pub fn all_fine(&self) -> bool {
        self.amiss == 0
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.amiss {
            0 => f.write_str("Nothing is amiss."),
            1 => f.write_str("One thing is amiss (marked !!)."),
            many => write!(f, "{many} things are amiss (marked !!)."),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_section_shows_each_finding_with_its_remedy_and_counts_what_is_amiss() {
        let mut tally = Tally::default();
        let findings = [
            Finding::fine("a"),
            Finding::note("b").remedy("perhaps c"),
            Finding::amiss("d").remedy("do e"),
            Finding::amiss("f"),
        ];
        let text = tally.section("T", &findings);
        assert_eq!(text, "T\n  ok  a\n  --  b\n      => perhaps c\n  !!  d\n      => do e\n  !!  f\n");
        assert_eq!(tally.to_string(), "2 things are amiss (marked !!).");
        assert!(!tally.all_fine() && Tally::default().all_fine());
    }
}
