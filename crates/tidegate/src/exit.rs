//! Exit codes and how errors are shown.

use std::process::ExitCode;

/// How a verb ended, for scripts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Yes, or done.
    Ok = 0,
    /// The answer is no: an objective was missed, a regression found.
    No = 1,
    /// The command line or a configuration file is wrong.
    Usage = 2,
    /// Something outside is missing: a file, a port, a thread.
    Environment = 3,
    /// There is a result, and it must not be believed.
    Doubtful = 4,
    /// A bug of tidegate.
    Bug = 70,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(exit as u8)
    }
}

/// Why a verb could not do its work. Shown on stderr.
#[derive(Debug)]
pub(crate) struct Failed {
    pub(crate) exit: Exit,
    pub(crate) message: String,
}

impl Failed {
    pub(crate) fn usage(message: impl Into<String>) -> Failed {
        Failed { exit: Exit::Usage, message: format!("error: {}", message.into()) }
    }

    /// An error of the environment with its causes.
    pub(crate) fn environment(error: &dyn std::error::Error) -> Failed {
        Failed { exit: Exit::Environment, message: format!("error: {}", with_causes(error)) }
    }

    /// Configuration errors, rendered already.
    pub(crate) fn rendered(message: String) -> Failed {
        Failed { exit: Exit::Usage, message }
    }

    pub(crate) fn bug(error: &dyn std::error::Error) -> Failed {
        let message = format!("bug: {}; please report it", with_causes(error));
        Failed { exit: Exit::Bug, message }
    }
}

fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
