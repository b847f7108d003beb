//! `sockeye ls`: the stacks that run.

use crate::{Failure, arguments::Ls, ss};
use sockeye::host::{
    client::Trouble,
    survey::{self, Describe, Description},
};
use std::fmt::Write;

/// Names that are shown of those that nobody answers for.
const SHOWN: usize = 3;

/// The table of the stacks that this user may look at. Those without a network are told on standard error, too.
pub fn show(arguments: &Ls) -> Result<String, Failure> {
    let found = answers(survey::all(ss::token()?, &Describe::default()));
    for (name, Description { pid, lost, .. }) in &found {
        if let Some(why) = lost {
            complain!(
                "sockeye: stack {name} has no network any more: {why}; end process {pid}, or have it free the stack"
            );
        }
    }
    Ok(if arguments.json { json(&found) } else { table(arguments, &found) })
}

/// Every stack of this user that answers, by name.
pub fn all() -> Result<Vec<(String, Description)>, Failure> {
    let asked = survey::all(ss::token()?, &Describe::default());
    Ok(asked.into_iter().filter_map(|(name, answer)| Some((name, answer.ok()?))).collect())
}

/// What was answered. Who does not answer is told on standard error, and stops no other; strangers in one line.
pub fn answers<A>(asked: Vec<(String, Result<A, Trouble>)>) -> Vec<(String, A)> {
    let (mut found, mut strangers) = (Vec::new(), Vec::new());
    for (name, answer) in asked {
        match answer {
            Ok(answer) => found.push((name, answer)),
            // Another user's, or one that has just ended: not this user's.
            Err(Trouble::Another | Trouble::Foreign(_) | Trouble::Absent | Trouble::Ended) => {}
            Err(Trouble::Stranger) => strangers.push(name),
            Err(trouble) => complain!("sockeye: {}", crate::stop::failure(&name, &trouble)),
        }
    }
    if !strangers.is_empty() {
        complain!("sockeye: {}", of_strangers(&strangers));
    }
    found
}

fn of_strangers(names: &[String]) -> String {
    let shown = names[..names.len().min(SHOWN)].join(", ");
    match names.len() {
        1 => format!("stack {shown}: {}", Trouble::Stranger),
        n if n > SHOWN => format!("stacks {shown} and {} more: {}", n - SHOWN, Trouble::Stranger),
        _ => format!("stacks {shown}: {}", Trouble::Stranger),
    }
}

fn table(arguments: &Ls, found: &[(String, Description)]) -> String {
    let titles = ["Stack", "Device", "Addresses", "Programs", "Sockets", "PID", "Age", "Warnings", "Specification"];
    let mut rows = vec![titles.map(str::to_owned)];
    for (name, Description { pid, age, programs, sockets, warnings, device, addresses, net, .. }) in found {
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
        let Description { pid, age, programs, sockets, warnings, device, addresses, net, is_inside: _, lost } =
            description;
        let addresses: Vec<String> = addresses.iter().map(|address| quoted(address)).collect();
        format!(
            "{{\"stack\":{},\"device\":{},\"addresses\":[{}],\"programs\":{programs},\"sockets\":{sockets},\
             \"pid\":{pid},\"age\":{age},\"warnings\":{warnings},\"specification\":{},\"lost\":{}}}",
            quoted(name),
            quoted(device),
            addresses.join(","),
            quoted(net),
            lost.as_ref().map_or_else(|| "null".to_owned(), |why| quoted(why)),
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
        assert!(text.ends_with("\"specification\":\"tap:t\\\"0\\\\\\u000a\",\"lost\":null}]\n"), "{text}");
        assert_eq!(json(&[]), "[]\n");
    }

    #[test]
    fn strangers_are_one_line() {
        let line = |count: usize| of_strangers(&(0..count).map(|n| format!("x{n}")).collect::<Vec<_>>());
        assert!(line(1).starts_with("stack x0: whoever "), "{}", line(1));
        assert!(line(3).starts_with("stacks x0, x1, x2: "), "{}", line(3));
        assert!(line(100).starts_with("stacks x0, x1, x2 and 97 more: "), "{}", line(100));
    }
}
