//! Usage: which databases have members in a worker, by their records. While there are any, its registration stays.

use super::{
    database::DatabaseKey,
    name::{MemberName, WorkerName},
    record::Record,
};

/// One database that has members in a worker.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct User {
    /// Which.
    pub database: DatabaseKey,
    /// The members that it has there.
    pub members: Vec<MemberName>,
}

impl User {
    /// What a database has in a worker by its record, if anything.
    #[must_use]
    pub fn of(database: &DatabaseKey, record: &Record, worker: &WorkerName) -> Option<Self> {
        let there = record.members.iter().filter(|member| &member.worker == worker);
        let members: Vec<_> = there.map(|member| member.name.clone()).collect();
        (!members.is_empty()).then(|| Self { database: database.clone(), members })
    }
}

impl std::fmt::Display for User {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let members: Vec<_> = self.members.iter().map(MemberName::as_str).collect();
        write!(f, "{} {}: {}", self.database.kind.word(), self.database, members.join(", "))
    }
}

/// Who uses a worker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Users {
    /// Nobody can tell: not all databases have been read since the process began. Anybody may.
    Unread,
    /// These, by their records.
    Known(Vec<User>),
}

impl Users {
    /// Whether it is certain that nobody does.
    #[must_use]
    pub fn are_none(&self) -> bool {
        matches!(self, Self::Known(users) if users.is_empty())
    }

    /// Both together.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Known(mut users), Self::Known(others)) => {
                users.extend(others);
                users.sort();
                Self::Known(users)
            }
            (Self::Unread, _) | (_, Self::Unread) => Self::Unread,
        }
    }
}

/// Whether the master has a database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Known {
    /// It has, or nobody can tell yet.
    Perhaps,
    /// All have been read, and it is not among them.
    No,
}
