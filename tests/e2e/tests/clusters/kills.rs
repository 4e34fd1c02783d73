use e2e::runner::Case;

pub fn cases() -> Vec<Case> {
    vec![]
}
