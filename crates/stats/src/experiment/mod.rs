//! Statistics of experiments: from exact sums per arm to effects, intervals and decisions that may
//! be looked at at any time.
//!
//! The way through the module:
//!
//! 1. [`Sums`] hold exact integers per arm; [`Moments`] are what they say about one unit. A ratio
//!    metric is turned into moments of one value by [`Moments::ratio`] (delta method), a quantile
//!    by [`quantile::estimate`].
//! 2. A [`Comparison`] is the estimates of two arms with their covariance: of plain moments
//!    ([`Comparison::new`]), with less variance ([`cuped::adjust`]), over strata or phases
//!    ([`strata::combine`], [`strata::post_stratify`]).
//! 3. A method turns a comparison into an [`Effect`]: [`welch::effect`] at a fixed horizon,
//!    [`ConfidenceSequence`] at any time, [`GroupSequential`] at planned looks. They differ only in
//!    the critical value, and an effect derives interval, p-value and relative lift from the same
//!    one, so that these never disagree.
//!
//! Counts have exact methods of their own ([`proportions`], [`counts`], [`srm`]).

pub mod bandit;
pub mod bayes;
pub mod cap;
pub mod comparison;
pub mod counts;
pub mod cuped;
pub mod group_sequential;
pub mod guardrail;
pub mod lift;
pub mod moments;
pub mod multiple;
pub mod novelty;
pub mod power;
pub mod proportions;
pub mod quantile;
pub mod sequence;
pub mod shrinkage;
pub mod srm;
pub mod strata;
pub mod welch;

mod quadrature;
mod tails;

pub use comparison::{Comparison, Effect};
pub use group_sequential::{GroupSequential, Spending};
pub use lift::LiftSet;
pub use moments::{Moments, Sums};
pub use sequence::ConfidenceSequence;

/// Why there is no result.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
pub enum Error {
    /// An argument is outside what the method is defined for.
    #[error("{name} must be {expected}")]
    Argument {
        /// The argument.
        name: &'static str,
        /// What it must be.
        expected: &'static str,
    },
    /// An arm has not yet enough units.
    #[error("an arm has {units} units and needs {needed}: wait for more")]
    TooFewUnits {
        /// Units of the arm.
        units: u64,
        /// Units it needs.
        needed: u64,
    },
    /// All units have the same value, so nothing can be said about chance.
    #[error("all units have the same value, so the difference has no variance: wait for more")]
    NoVariance,
    /// The denominator of a ratio is zero.
    #[error("the denominator of the ratio is zero: wait for more, or choose another metric")]
    ZeroDenominator,
    /// No numbers have these sums.
    #[error("no values have these sums: n·Σx² is smaller than (Σx)²")]
    ImpossibleSums,
    /// A sum left the range of its type.
    #[error("the sums left 128 bits: use a coarser fixed point, or cap the values")]
    Overflow,
}

impl Error {
    pub(crate) fn argument(name: &'static str, expected: &'static str) -> Self {
        Self::Argument { name, expected }
    }
}

/// Which differences, treatment − control, the test is to find.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Alternative {
    /// Treatment differs from control.
    TwoSided,
    /// Treatment is greater than control: the interval has a lower end only.
    Greater,
    /// Treatment is less than control: the interval has an upper end only.
    Less,
}

/// Which values of a metric are good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Better {
    /// More is better, as for conversions.
    Higher,
    /// Less is better, as for latency and errors.
    Lower,
}

impl Better {
    /// +1 when more is better, −1 when less is.
    pub(crate) fn sign(self) -> f64 {
        match self {
            Self::Higher => 1.0,
            Self::Lower => -1.0,
        }
    }
}

/// The share of false alarms that is accepted, and on which side.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Level {
    alpha: f64,
    alternative: Alternative,
}

impl Level {
    /// Level `alpha`, strictly between 0 and 0.5. The confidence of intervals is 1 − `alpha`.
    ///
    /// # Errors
    /// [`Error::Argument`] when `alpha` is outside.
    pub fn new(alpha: f64, alternative: Alternative) -> Result<Self, Error> {
        if !(alpha > 0.0 && alpha < 0.5) {
            return Err(Error::argument("alpha", "strictly between 0 and 0.5"));
        }
        Ok(Self { alpha, alternative })
    }

    /// Probability of a false alarm, 0..0.5.
    #[must_use]
    pub fn alpha(&self) -> f64 {
        self.alpha
    }

    /// The side or sides that are tested.
    #[must_use]
    pub fn alternative(&self) -> Alternative {
        self.alternative
    }

    /// The share of false alarms on each tested side.
    pub(crate) fn tail(&self) -> f64 {
        match self.alternative {
            Alternative::TwoSided => self.alpha / 2.0,
            Alternative::Greater | Alternative::Less => self.alpha,
        }
    }

    /// The same alternative with a share `alpha` of false alarms (not checked).
    pub(crate) fn with_alpha(self, alpha: f64) -> Self {
        Self { alpha, ..self }
    }
}

/// `Ok` when `value` is strictly between 0 and 1.
pub(crate) fn check_share(name: &'static str, value: f64) -> Result<(), Error> {
    if value > 0.0 && value < 1.0 {
        Ok(())
    } else {
        Err(Error::argument(name, "strictly between 0 and 1"))
    }
}

/// `Ok` when `value` is finite and greater than 0.
pub(crate) fn check_positive(name: &'static str, value: f64) -> Result<(), Error> {
    if value > 0.0 && value.is_finite() {
        Ok(())
    } else {
        Err(Error::argument(name, "finite and greater than 0"))
    }
}
