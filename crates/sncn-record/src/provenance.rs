//! `Build`: the source that a program was built from.

use serde::{Deserialize, Serialize};

/// The commit that a program was built from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Build {
    /// The commit, where it is known.
    #[serde(default)]
    pub commit: Option<String>,
    /// Whether tracked files differed from it.
    #[serde(default)]
    pub dirty: bool,
}

impl Build {
    /// Whether nothing is known.
    pub fn is_unknown(&self) -> bool {
        self.commit.is_none()
    }
}
