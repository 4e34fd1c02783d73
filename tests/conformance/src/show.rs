//! Sequences and answers for people.

use serde_json::Value;

use crate::campaign::Verdict;
use crate::compare::Difference;
use crate::run::{Exchange, Transcript};

/// All requests of a sequence and both answers to each.
pub fn everything(verdict: &Verdict, other: &str) -> String {
    text(verdict, other, true)
}

/// All requests, and the answers where they differ.
pub fn differing(verdict: &Verdict, other: &str) -> String {
    text(verdict, other, false)
}

/// One request and what both sides say about one place.
pub fn brief(verdict: &Verdict, difference: &Difference) -> String {
    let step = verdict.sequence.steps.iter().find(|step| step.id == difference.step);
    let exchange =
        |transcript: &Transcript| transcript.exchanges.iter().find(|exchange| exchange.id == difference.step).cloned();
    let (Some(step), Some(real), Some(other)) = (step, exchange(&verdict.real), exchange(&verdict.simulated)) else {
        return String::new();
    };
    let some = |text: &str| text.chars().take(700).collect::<String>();
    format!(
        "step {} {} {} {}\n    {}\n    {} real: {} {}\n    {} other: {} {}",
        step.id,
        step.method,
        real.words.uri,
        step.content.unwrap_or_default(),
        some(&real.words.body),
        difference.place,
        some(&difference.real.to_string()),
        if difference.place == "status" { some(&real.body.to_string()) } else { String::new() },
        difference.place,
        some(&difference.simulated.to_string()),
        if difference.place == "status" { some(&other.body.to_string()) } else { String::new() },
    )
}

fn text(verdict: &Verdict, other: &str, all: bool) -> String {
    let mut text = String::new();
    for (real, simulated) in verdict.real.exchanges.iter().zip(&verdict.simulated.exchanges) {
        // Some steps only wait, and are answered by nobody.
        let Some(step) = verdict.sequence.steps.iter().find(|step| step.id == real.id) else { continue };
        let differences: Vec<_> = verdict.differences.iter().filter(|difference| difference.step == step.id).collect();
        text.push_str(&format!(
            "  {:2}  {} {} {}\n",
            step.id,
            step.method,
            real.words.uri,
            step.content.unwrap_or_default()
        ));
        if !real.words.body.is_empty() {
            text.push_str(&format!("        {}\n", real.words.body));
        }
        if all || !differences.is_empty() {
            answer(&mut text, "real", real, &verdict.real);
            answer(&mut text, other, simulated, &verdict.simulated);
        } else {
            text.push_str(&format!("        → {}\n", real.status));
        }
        for difference in differences {
            text.push_str(&format!(
                "      ≠ {}\n          real: {}\n          {other}: {}\n",
                difference.place, difference.real, difference.simulated
            ));
        }
    }
    text
}

fn answer(text: &mut String, side: &str, exchange: &Exchange, transcript: &Transcript) {
    text.push_str(&format!("        {side} → {} {}\n", exchange.status, clip(&exchange.body)));
    for event in transcript.events.get(&exchange.id).into_iter().flat_map(|told| &told.events) {
        text.push_str(&format!("          event {}\n", clip(event)));
    }
}

fn clip(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(6000) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}
