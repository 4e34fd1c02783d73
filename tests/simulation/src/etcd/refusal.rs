//! What etcd answers instead of doing it.

/// Why a request was not carried out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    MemberNotFound,
    MemberExists,
    PeerUrlExists,
    NotLearner,
    LearnerNotReady,
    TooManyLearners,
    NotEnoughStarted,
    Unhealthy,
    BadUrls,
    NoKey,
    NotLeader,
    BadTransferee,
    LearnerCannot,
    /// The body is not what the gateway can read.
    Malformed(String),
    /// A real etcd could, the model cannot.
    NotModelled,
}

impl Refusal {
    /// gRPC's code.
    pub(super) fn code(&self) -> u8 {
        match self {
            Self::NotEnoughStarted => 2,
            Self::BadUrls | Self::NoKey | Self::Malformed(_) => 3,
            Self::MemberNotFound => 5,
            Self::MemberExists
            | Self::PeerUrlExists
            | Self::NotLearner
            | Self::LearnerNotReady
            | Self::TooManyLearners
            | Self::NotLeader
            | Self::BadTransferee => 9,
            Self::NotModelled => 12,
            Self::Unhealthy | Self::LearnerCannot => 14,
        }
    }

    /// HTTP's code, as the gateway maps gRPC's.
    pub(super) fn status(&self) -> u16 {
        match self.code() {
            5 => 404,
            3 | 9 => 400,
            12 => 501,
            14 => 503,
            _ => 500,
        }
    }

    pub(super) fn message(&self) -> &str {
        match self {
            Self::MemberNotFound => "etcdserver: member not found",
            Self::MemberExists => "etcdserver: member ID already exist",
            Self::PeerUrlExists => "etcdserver: Peer URLs already exists",
            Self::NotLearner => "etcdserver: can only promote a learner member",
            Self::LearnerNotReady => "etcdserver: can only promote a learner member which is in sync with leader",
            Self::TooManyLearners => "etcdserver: too many learner members in cluster",
            Self::NotEnoughStarted => "etcdserver: re-configuration failed due to not enough started members",
            Self::Unhealthy => "etcdserver: unhealthy cluster",
            Self::BadUrls => "etcdserver: given member URLs are invalid",
            Self::NoKey => "etcdserver: key is not provided",
            Self::NotLeader => "etcdserver: not leader",
            Self::BadTransferee => "etcdserver: bad leader transferee",
            Self::LearnerCannot => "etcdserver: rpc not supported for learner",
            Self::Malformed(why) => why,
            Self::NotModelled => "not in this model of etcd",
        }
    }
}
