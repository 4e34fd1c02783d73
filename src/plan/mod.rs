//! The engine-neutral middle of Atoll: what a database is, what is seen of it, and what is decided about it. Pure.

pub mod act;
pub mod address;
pub mod adopt;
pub mod brake;
pub mod budget;
pub mod change;
pub mod command;
pub mod database;
pub mod debt;
pub mod decide;
pub mod delete;
pub mod exposure;
pub mod found;
pub mod join;
pub mod keep;
pub mod labels;
pub mod leave;
pub mod members;
pub mod membership;
pub mod moving;
pub mod name;
pub mod network;
pub mod operation;
pub mod place;
pub mod quantity;
pub mod record;
pub mod recover;
pub mod release;
pub mod render;
pub mod report;
pub mod roll;
pub mod seen;
pub mod step;
pub mod strangers;
pub mod sweep;
pub mod switchover;
pub mod tell;
pub mod terms;
#[cfg(test)]
pub mod testing;
#[cfg(test)]
mod tests;
pub mod upgrade;
pub mod usage;
pub mod view;
pub mod volume;
pub mod wait;
