//! Makes a failing sequence as short as its difference lets it be.

use serde_json::Value;

use crate::Trouble;
use crate::campaign::{Judge, Verdict};
use crate::generate::Sequence;
use crate::side::Side;
use crate::step::Body;

/// How often a sequence is played at most while it is made shorter.
const TRIES: usize = 150;

/// Leaves out steps, parts of queries and parts of bodies, as long as a difference of this signature stays.
pub async fn shrink<R: Side, S: Side>(
    judge: &Judge<'_, R, S>,
    sequence: &Sequence,
    signature: &str,
) -> Result<Verdict, Trouble> {
    let mut shrinker = Shrinker { judge, signature, best: judge.once(sequence).await?, tries: 0 };
    loop {
        let before = shrinker.tries;
        let changed = shrinker.round().await?;
        if !changed || shrinker.tries >= TRIES || shrinker.tries == before {
            return Ok(shrinker.best);
        }
    }
}

struct Shrinker<'a, 'b, R, S> {
    judge: &'a Judge<'b, R, S>,
    signature: &'a str,
    best: Verdict,
    tries: usize,
}

impl<R: Side, S: Side> Shrinker<'_, '_, R, S> {
    /// Whether it still fails the same way; then it is the best one.
    async fn attempt(&mut self, sequence: Sequence) -> Result<bool, Trouble> {
        if self.tries >= TRIES {
            return Ok(false);
        }
        self.tries += 1;
        let verdict = self.judge.once(&sequence).await?;
        let same = verdict.signatures().any(|signature| signature == self.signature);
        if same {
            self.best = verdict;
        }
        Ok(same)
    }

    async fn round(&mut self) -> Result<bool, Trouble> {
        let mut changed = false;
        let mut many = self.best.sequence.steps.len().div_ceil(2);
        while many > 0 {
            let mut end = self.best.sequence.steps.len();
            while end > 0 {
                let begin = end.saturating_sub(many);
                let mut shorter = self.best.sequence.clone();
                shorter.steps.drain(begin..end);
                changed |= self.attempt(shorter).await?;
                end = begin.min(self.best.sequence.steps.len());
            }
            many /= 2;
        }
        for at in 0..self.best.sequence.steps.len() {
            for part in (0..self.best.sequence.steps[at].query.len()).rev() {
                let mut shorter = self.best.sequence.clone();
                shorter.steps[at].query.remove(part);
                changed |= self.attempt(shorter).await?;
            }
            changed |= self.body(at).await?;
        }
        Ok(changed)
    }

    async fn body(&mut self, at: usize) -> Result<bool, Trouble> {
        let mut changed = false;
        if let Body::Changed { set, .. } = &self.best.sequence.steps[at].body {
            for part in (0..set.len()).rev() {
                let mut shorter = self.best.sequence.clone();
                if let Body::Changed { set, .. } = &mut shorter.steps[at].body {
                    set.remove(part);
                }
                changed |= self.attempt(shorter).await?;
            }
        }
        let body = match &self.best.sequence.steps[at].body {
            Body::Json(body) | Body::Changed { otherwise: body, .. } => body.clone(),
            _ => return Ok(changed),
        };
        for pointer in parts(&body) {
            let mut shorter = self.best.sequence.clone();
            if let Body::Json(body) | Body::Changed { otherwise: body, .. } = &mut shorter.steps[at].body {
                crate::step::put(body, &pointer, Value::Null);
            }
            changed |= self.attempt(shorter).await?;
        }
        Ok(changed)
    }
}

/// The pointers to everything in it that can be left out, the largest first.
fn parts(body: &Value) -> Vec<String> {
    fn collect(value: &Value, at: &str, depth: usize, into: &mut Vec<(usize, String)>) {
        let escape = |name: &str| name.replace('~', "~0").replace('/', "~1");
        match value {
            Value::Object(fields) => {
                for (name, value) in fields {
                    let pointer = format!("{at}/{}", escape(name));
                    // What every object needs.
                    if !["/apiVersion", "/kind", "/metadata", "/metadata/name"].contains(&pointer.as_str()) {
                        into.push((depth, pointer.clone()));
                    }
                    collect(value, &pointer, depth + 1, into);
                }
            }
            Value::Array(items) => {
                for (index, value) in items.iter().enumerate().rev() {
                    into.push((depth, format!("{at}/{index}")));
                    collect(value, &format!("{at}/{index}"), depth + 1, into);
                }
            }
            _ => {}
        }
    }
    let mut all = Vec::new();
    collect(body, "", 0, &mut all);
    all.sort_by_key(|(depth, _)| *depth);
    all.into_iter().map(|(_, pointer)| pointer).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn large_parts_are_left_out_before_small_ones() {
        let body = json!({ "kind": "Pod", "metadata": { "name": "a", "labels": { "x/y": "1" } }, "spec": [1, 2] });
        assert_eq!(parts(&body), ["/spec", "/metadata/labels", "/spec/1", "/spec/0", "/metadata/labels/x~1y"]);
    }
}
