//! `sockeye ls`: the stacks that run.

use crate::{Failure, arguments::Ls, ss};
use sockeye::host::client::{self, Description, Trouble};
use std::fmt::Write;

/// The table of the stacks that this user may look at.
pub fn show(arguments: &Ls) -> Result<String, Failure> {
    let found = all()?;
    Ok(if arguments.json { json(&found) } else { table(arguments, &found) })
}

/// Every stack of this user, by name. One that does not answer is told on standard error, and stops no other.
pub fn all() -> Result<Vec<(String, Description)>, Failure> {
    let token = ss::token()?;
    let describe = |name: String| match client::describe(name.as_bytes(), token) {
        Ok(description) => Some((name, description)),
        // Another user's, or one that has just ended: not this user's.
        Err(Trouble::Another | Trouble::Absent) => None,
        Err(trouble) => {
            complain!("sockeye: {}", crate::stop::failure(&name, &trouble));
            None
        }
    };
    Ok(client::stacks().into_iter().filter_map(describe).collect())
}

fn table(arguments: &Ls, found: &[(String, Description)]) -> String {
    let titles = ["Stack", "Device", "Addresses", "Programs", "Sockets", "PID", "Age", "Warnings", "Specification"];
    let mut rows = vec![titles.map(str::to_owned)];
    for (name, description) in found {
        let Description { pid, age, programs, sockets, warnings, device, addresses, net, is_inside: _ } = description;
        let addresses = if addresses.is_empty() { "-".to_owned() } else { addresses.join("+") };
        rows.push([
            name.clone(),
            device.clone(),
            addresses,
            programs.to_string(),
            sockets.to_string(),
            pid.to_string(),
            duration(*age),
            warnings.to_string(),
            net.clone(),
        ]);
    }
    let width = |at: usize| rows.iter().map(|row| row[at].len()).max().unwrap_or(0);
    let widths: [usize; 9] = std::array::from_fn(width);
    let mut text = String::new();
    for row in rows.iter().skip(usize::from(arguments.no_header)) {
        let cells: Vec<String> = row.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        let _ = writeln!(text, "{}", cells.join(" ").trim_end());
    }
    text
}

/// Seconds as ps(1) has them: `[DD-]hh:mm:ss`, the hours left out while there are none.
fn duration(seconds: u64) -> String {
    let (days, hours, minutes, rest) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
    match (days, hours) {
        (0, 0) => format!("{minutes:02}:{rest:02}"),
        (0, _) => format!("{hours:02}:{minutes:02}:{rest:02}"),
        _ => format!("{days}-{hours:02}:{minutes:02}:{rest:02}"),
    }
}

/// An array of objects.
fn json(found: &[(String, Description)]) -> String {
    let object = |(name, description): &(String, Description)| {
        let Description { pid, age, programs, sockets, warnings, device, addresses, net, is_inside: _ } = description;
        let addresses: Vec<String> = addresses.iter().map(|address| quoted(address)).collect();
        format!(
            "{{\"stack\":{},\"device\":{},\"addresses\":[{}],\"programs\":{programs},\"sockets\":{sockets},\
             \"pid\":{pid},\"age\":{age},\"warnings\":{warnings},\"specification\":{}}}",
            quoted(name),
            quoted(device),
            addresses.join(","),
            quoted(net)
        )
    };
    format!("[{}]\n", found.iter().map(object).collect::<Vec<_>>().join(","))
}

/// A string of JSON (RFC 8259 section 7).
fn quoted(text: &str) -> String {
    let mut quoted = String::from('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            c if c.is_control() => _ = write!(quoted, "\\u{:04x}", u32::from(c)),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_age_is_written_as_ps_writes_it() {
        assert_eq!([0, 61, 3_600, 90_061].map(duration), ["00:00", "01:01", "01:00:00", "1-01:01:01"]);
    }

    #[test]
    fn json_is_escaped() {
        let description = Description { net: "tap:t\"0\\\n".to_owned(), ..Description::default() };
        let text = json(&[("t0".to_owned(), description)]);
        assert!(text.ends_with("\"specification\":\"tap:t\\\"0\\\\\\u000a\"}]\n"), "{text}");
        assert_eq!(json(&[]), "[]\n");
    }
}
