//! What bound a run, and whether its figures may be believed.

/// What kept the run from going further.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BoundBy {
    /// The target: it is the limit that was looked for.
    Target,
    /// The generator: the figures say more about it than about the target.
    Generator,
    /// The network between them.
    Network,
    /// Nothing: the target could have taken more.
    Nothing,
    /// No steady state: the figures depend on when one looks.
    Unstable,
}

impl BoundBy {
    /// The stable name used in JSON.
    pub fn name(self) -> &'static str {
        match self {
            BoundBy::Target => "target",
            BoundBy::Generator => "generator",
            BoundBy::Network => "network",
            BoundBy::Nothing => "nothing",
            BoundBy::Unstable => "unstable",
        }
    }
}

/// Whether the objectives held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SloVerdict {
    /// All of them.
    Met,
    /// At least one did not.
    Missed,
    /// There were none.
    None,
}

impl SloVerdict {
    /// The stable name used in JSON.
    pub fn name(self) -> &'static str {
        match self {
            SloVerdict::Met => "met",
            SloVerdict::Missed => "missed",
            SloVerdict::None => "none",
        }
    }
}

/// The judgement on a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// What bound it.
    pub bound_by: BoundBy,
    /// Whether the objectives held.
    pub slo: SloVerdict,
    /// Whether the figures may be believed.
    pub valid: bool,
    /// Why, in plain words, most important first.
    pub reasons: Vec<String>,
}
