//! What `log=` says: how much, and where to: `debug`, `info:syslog`, `trace:/var/log/sockeye.log`.

use log::LevelFilter;
use std::{fmt, path::PathBuf};

/// Where log lines go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Whither {
    /// To standard error.
    Stderr,
    /// To the system's log, and the journal: what syslog(3) writes to.
    Syslog,
    /// To the end of a file.
    File(PathBuf),
}

/// What is written of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Logging {
    /// The least level.
    pub level: LevelFilter,
    /// Where to.
    pub whither: Whither,
}

impl Logging {
    /// Reads `LEVEL[:syslog|:/PATH]`, which `subject` has been given: a key or a variable.
    ///
    /// # Errors
    /// What is wrong, with the right form.
    pub fn parse(subject: &str, text: &str) -> Result<Self, String> {
        let (level, whither) = text.split_once(':').map_or((text, None), |(level, whither)| (level, Some(whither)));
        let level = level
            .parse()
            .map_err(|_| format!("`{level}` is no level; the levels are off, error, warn, info, debug, trace"))?;
        let whither = match whither {
            None => Whither::Stderr,
            Some("syslog") => Whither::Syslog,
            Some(path) if path.contains([',', ';', '\0']) => {
                return Err(format!("`{path}` cannot name a file: its path has a `,` or `;` in it"));
            }
            // Whoever holds the stack may be in another folder.
            Some(path) if path.starts_with('/') => Whither::File(path.into()),
            Some(other) => {
                return Err(format!(
                    "`{other}` is no place for a log; give {subject}=info:syslog, {subject}=info:/path/of/a/file, or \
                     {subject}=info alone"
                ));
            }
        };
        Ok(Self { level, whither })
    }
}

impl fmt::Display for Logging {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.level.as_str().to_ascii_lowercase())?;
        match &self.whither {
            Whither::Stderr => Ok(()),
            Whither::Syslog => f.write_str(":syslog"),
            Whither::File(path) => write!(f, ":{}", path.display()),
        }
    }
}
